"""Answers as bytes: the documented headers, pretty print, and the envelope that hides the status."""

from __future__ import annotations

import json

import pytest

from airflow_provider_atlas.sandbox.answers import Answer
from airflow_provider_atlas.sandbox.wire import respond

NOW = 1_800_000_000.0
LIST = {"links": [], "results": [1]}


def send(answer, pretty=False, envelope=False):
    return respond(answer, NOW, pretty=pretty, envelope=envelope)


def test_an_answer_has_the_documented_headers_and_the_sandbox_s_own_time():
    response = send(Answer(429, {"error": "x"}, {"Retry-After": "5"}))
    assert dict(response.headers) == {
        "date": "Fri, 15 Jan 2027 08:00:00 GMT",
        "vary": "Accept-Encoding",
        "strict-transport-security": "max-age=31536000; includeSubdomains;",
        "x-mongodb-service-version": f"gitHash={'0' * 40}; versionString=sandbox",
        "content-type": "application/json",
        "retry-after": "5",
        "content-length": "13",
    }


@pytest.mark.parametrize(("pretty", "body"), [(False, b'{"a":1,"b":2}'), (True, b'{\n  "a": 1,\n  "b": 2\n}')])
def test_json_is_printed_pretty_on_demand(pretty, body):
    assert send(Answer(200, {"a": 1, "b": 2}), pretty=pretty).body == body


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(200, {"a": 1}), {"status": 200, "content": {"a": 1}}),
        (Answer(400, {"error": "x"}), {"status": 400, "content": {"error": "x"}}),
        (Answer(200), {"status": 200, "content": {}}),
        (Answer(200, LIST), {**LIST, "status": 200}),
    ],
)
def test_an_envelope_carries_the_real_status_under_a_200(answer, expected):
    response = send(answer, envelope=True)
    assert (response.status_code, json.loads(response.body)) == (200, expected)


def test_an_empty_body_stays_empty():
    assert (send(Answer(200)).body, send(Answer(200)).status_code) == (b"", 200)


def test_html_has_no_envelope():
    response = send(Answer(401, "<html></html>"), envelope=True)
    assert (response.status_code, response.body) == (401, b"<html></html>")
    assert response.headers["content-type"] == "text/html;charset=ISO-8859-1"
