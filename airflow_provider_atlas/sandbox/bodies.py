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


def read_body(request: AtlasRequest, shape: Mapping[str, Any], *required: str) -> dict[str, Any]:
    """
    Return the body, a JSON object.

    :param shape: for each field its type, a tuple of its values, the shape of an object or, in a list, of its items
    :param required: fields that must be there
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
    wrong = _wrong(body, shape, "") | {name: "is required" for name in required if body.get(name) is None}
    if wrong:
        raise Refusal("INVALID_ATTRIBUTE", ", ".join(wrong), fields=wrong)
    return body


def _wrong(value: Any, shape: Any, name: str) -> dict[str, str]:
    if isinstance(shape, dict):
        if not isinstance(value, dict):
            return {name: "must be an object"}
        inner = {f"{name}.{key}".lstrip("."): (each, shape.get(key)) for key, each in value.items()}
        wrong: dict[str, str] = {}
        for key, (each, expected) in inner.items():
            wrong |= {key: "is not known"} if expected is None else _wrong(each, expected, key)
        return wrong
    if isinstance(shape, list):
        if not isinstance(value, list):
            return {name: "must be an array"}
        found = [_wrong(each, shape[0], f"{name}[{index}]") for index, each in enumerate(value)]
        return {key: text for each in found for key, text in each.items()}
    if isinstance(shape, tuple):
        return {} if value in shape else {name: f"must be one of {', '.join(map(str, shape))}"}
    kinds = (int, float) if shape is float else shape
    # True and False are integers in Python, and not in JSON.
    valid = isinstance(value, kinds) and (shape is bool or not isinstance(value, bool))
    return {} if valid else {name: f"must be of type {shape.__name__}"}
