"""Request bodies: which fields Atlas takes. Any other field, type or value is a 400 that names it."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.refusals import Refusal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_atlas.sandbox.requests import AtlasRequest

JSON = re.compile(r"application/(vnd\.atlas\.[\w-]+\+)?json")
HEX_ID = re.compile(r"[0-9a-f]{24}")
NAMES = {str: "a string", int: "an integer", float: "a number", bool: "a boolean", dict: "an object"}


def read_body(request: AtlasRequest, shape: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return the body, a JSON object.

    :param shape: for each field its type, a tuple or range of its values, a pattern, the shape of an object or, in a
        list, of an array's items. A field whose name ends in ``!`` is required
    :raises Refusal: 400 or 415
    """
    if not JSON.fullmatch(request.headers.get("content-type", "").partition(";")[0].strip()):
        raise Refusal("UNSUPPORTED_MEDIA_TYPE")
    try:
        body = json.loads(request.body)
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Refusal("INVALID_JSON")
    if wrong := _wrong(body, shape, ""):
        raise Refusal("INVALID_ATTRIBUTE", ", ".join(wrong), fields=wrong)
    return body


def _wrong(value: Any, shape: Any, name: str) -> dict[str, str]:
    """Return each wrong field with what is wrong."""
    match shape:
        case dict() if isinstance(value, dict):
            known = {field.rstrip("!"): inner for field, inner in shape.items()}
            path = f"{name}." if name else ""
            required = [field[:-1] for field in shape if field.endswith("!")]
            wrong = {f"{path}{field}": "is required" for field in required if field not in value}
            for field, inner in value.items():
                found = _wrong(inner, known[field], path + field) if field in known else {path + field: "is not known"}
                wrong |= found
            return wrong
        case [inner] if isinstance(shape, list) and isinstance(value, list):
            items = [_wrong(item, inner, f"{name}[{index}]") for index, item in enumerate(value)]
            return {field: text for item in items for field, text in item.items()}
        case range():
            valid, expected = type(value) is int and value in shape, f"an integer from {shape[0]} to {shape[-1]}"
        case tuple():
            valid, expected = value in shape, f"one of {', '.join(shape)}"
        case re.Pattern():
            valid, expected = isinstance(value, str) and bool(shape.fullmatch(value)), f"text like {shape.pattern}"
        case type():
            # JSON's booleans are no integers, but Python's are.
            valid = type(value) is shape or (shape is float and type(value) is int)
            expected = NAMES[shape]
        case _:
            valid, expected = False, "an array" if isinstance(shape, list) else "an object"
    return {} if valid else {name: f"must be {expected}"}
