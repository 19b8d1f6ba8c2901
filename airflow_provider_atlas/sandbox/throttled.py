"""The 429 of the token endpoints in the forms met in the field: two bodies, three ways to say when."""

from __future__ import annotations

import math
from email.utils import formatdate
from typing import TYPE_CHECKING

from airflow_provider_atlas.sandbox.answers import Answer, api_error

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.knobs import Knobs


def whole_seconds(wait: float) -> int:
    """Round up, so that who obeys never comes too early; a float's own error is no second."""
    return math.ceil(round(wait, 6))


def number(value: float) -> float:
    """Return whole numbers as integers, as Atlas writes them."""
    return int(value) if value == int(value) else value


def retry_after(knobs: Knobs, now: float, wait: float) -> dict[str, str]:
    """Return the Retry-After header for ``wait`` seconds."""
    if knobs.retry_after == "none":
        return {}
    if knobs.retry_after == "date":
        return {"Retry-After": formatdate(whole_seconds(now + wait), usegmt=True)}
    return {"Retry-After": str(whole_seconds(wait))}


def rate_limited(knobs: Knobs, path: str, now: float, wait: float) -> Answer:
    """Return the 429 of a token endpoint whose window closes in ``wait`` seconds."""
    minutes = f"{(knobs.stated_window or knobs.window) / 60:g}"
    text = f"Resource {path} is limited to {knobs.rate_limit} requests every {minutes} minutes."
    headers = retry_after(knobs, now, wait)
    if knobs.rate_limit_shape == "oauth":
        return Answer(429, {"error_description": text, "error": "rate_limited"}, headers)
    parameters = [path, knobs.rate_limit, number(float(minutes))]
    return api_error(429, "RATE_LIMITED", text, parameters=parameters, headers=headers)
