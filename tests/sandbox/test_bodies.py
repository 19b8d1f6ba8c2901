"""A body with a field, type or value that Atlas does not take is refused with the names of the fields."""

from __future__ import annotations

import json
import re

import pytest

from airflow_provider_atlas.sandbox.bodies import read_body
from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.requests import AtlasRequest

SHAPE = {
    "name!": re.compile(r"[a-z]+"),
    "size": ("M10", "M20"),
    "count": int,
    "disk": float,
    "on": bool,
    "free": dict,
    "days": range(1, 8),
    "tags": [{"key!": str, "value!": str}],
    "inner": {"deep": {"text": str}},
}


def read(body, media="application/json"):
    text = body if isinstance(body, bytes) else json.dumps(body).encode()
    return read_body(AtlasRequest("/", headers={"content-type": media}, body=text), SHAPE)


@pytest.mark.parametrize(
    "body",
    [
        {"name": "a"},
        {"name": "a", "size": "M20", "count": 1, "disk": 1, "on": False, "free": {"x": [1]}, "days": 7},
        {"name": "a", "disk": 1.5, "tags": [], "inner": {}},
        {"name": "a", "tags": [{"key": "k", "value": ""}], "inner": {"deep": {"text": ""}}},
    ],
)
def test_body_with_known_fields_is_read(body):
    assert read(body) == body


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"other": 1}, "other"),
        ({"name": "A"}, "name"),
        ({"name": 1}, "name"),
        ({"size": "M30"}, "size"),
        ({"count": 1.0}, "count"),
        ({"count": True}, "count"),
        ({"count": "1"}, "count"),
        ({"count": None}, "count"),
        ({"disk": True}, "disk"),
        ({"on": 1}, "on"),
        ({"free": []}, "free"),
        ({"days": 8}, "days"),
        ({"days": True}, "days"),
        ({"tags": {}}, "tags"),
        ({"tags": [{"key": "k"}]}, "tags[0].value"),
        ({"tags": [{"key": "k", "value": "v"}, 7]}, "tags[1]"),
        ({"inner": 7}, "inner"),
        ({"inner": {"deep": {"text": 7}}}, "inner.deep.text"),
        ({"inner": {"deep": {"other": ""}}}, "inner.deep.other"),
    ],
)
def test_wrong_field_is_named(more, field):
    with pytest.raises(Refusal) as caught:
        read({"name": "a", **more})
    content = caught.value.response.content
    assert (content["error"], content["errorCode"]) == (400, "INVALID_ATTRIBUTE")
    assert [each["field"] for each in content["badRequestDetail"]["fields"]] == [field]


def test_missing_field_is_named():
    with pytest.raises(Refusal) as caught:
        read({})
    assert caught.value.response.content["badRequestDetail"]["fields"] == [
        {"field": "name", "description": "is required"}
    ]


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", [], "x", None])
def test_body_that_is_no_json_object_is_refused(body):
    with pytest.raises(Refusal, match="INVALID_JSON"):
        read(body)


@pytest.mark.parametrize(
    "media", ["application/json", "application/vnd.atlas.2025-03-12+json", "application/json; a=b"]
)
def test_media_types_of_json_are_read(media):
    assert read({"name": "a"}, media) == {"name": "a"}


@pytest.mark.parametrize("media", ["", "text/plain", "application/x-www-form-urlencoded", "application/jsonp"])
def test_other_media_types_get_a_415(media):
    with pytest.raises(Refusal, match="UNSUPPORTED_MEDIA_TYPE"):
        read({"name": "a"}, media)
