"""Responses as HTTP, with the documented headers, pretty print and envelopes; and pages of a list."""

from __future__ import annotations

import json

import pytest

from airflow_provider_atlas.sandbox.requests import AtlasRequest
from airflow_provider_atlas.sandbox.responses import AtlasResponse, page

NOW = 1_800_000_000.0
URL = "http://127.0.0.1:1/api/atlas/v2/groups"
LIST = {"links": [], "results": [1]}


def send(response, pretty=False, envelope=False):
    return response.to_http(NOW, pretty=pretty, envelope=envelope)


def test_response_has_the_documented_headers_and_the_sandbox_s_own_time():
    response = send(AtlasResponse(429, {"error": "x"}, {"Retry-After": "5"}))
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
def test_json_is_indented_if_pretty_is_set(pretty, body):
    assert send(AtlasResponse(200, {"a": 1, "b": 2}), pretty=pretty).body == body


@pytest.mark.parametrize(
    ("response", "expected"),
    [
        (AtlasResponse(200, {"a": 1}), {"status": 200, "content": {"a": 1}}),
        (AtlasResponse(400, {"error": "x"}), {"status": 400, "content": {"error": "x"}}),
        (AtlasResponse(200), {"status": 200, "content": {}}),
        (AtlasResponse(200, LIST), {**LIST, "status": 200}),
    ],
)
def test_envelope_has_status_200_and_the_real_status_in_its_body(response, expected):
    sent = send(response, envelope=True)
    assert (sent.status_code, json.loads(sent.body)) == (200, expected)


def test_empty_body_stays_empty():
    assert (send(AtlasResponse(200)).body, send(AtlasResponse(200)).status_code) == (b"", 200)


def test_html_has_no_envelope():
    response = send(AtlasResponse(401, "<html></html>"), envelope=True)
    assert (response.status_code, response.body) == (401, b"<html></html>")
    assert response.headers["content-type"] == "text/html;charset=ISO-8859-1"


def get_page(query, total, make=lambda index: {"index": index}):
    request = AtlasRequest("/api/atlas/v2/groups", query=query, base_url="http://127.0.0.1:1")
    return page(request, total, make)


def links_of(response):
    return {link["rel"]: link["href"] for link in response.content["links"]}


@pytest.mark.parametrize(
    ("number", "total", "expected", "links"),
    [
        (1, 5, [0, 1], {"self", "next"}),
        (2, 5, [2, 3], {"self", "previous", "next"}),
        (3, 5, [4], {"self", "previous"}),
        (2, 4, [2, 3], {"self", "previous"}),
        (9, 5, [], {"self", "previous"}),
        (1, 0, [], {"self"}),
    ],
)
def test_page_has_its_results_and_links_to_its_neighbours(number, total, expected, links):
    response = get_page({"itemsPerPage": "2", "pageNum": str(number)}, total)
    assert [result["index"] for result in response.content["results"]] == expected
    assert set(links_of(response)) == links
    assert response.content["totalCount"] == total


def test_links_are_absolute_and_keep_the_query():
    response = get_page({"itemsPerPage": "2", "pageNum": "2", "includeCount": "false"}, 9)
    assert links_of(response) == {
        "self": f"{URL}?itemsPerPage=2&pageNum=2&includeCount=false",
        "previous": f"{URL}?itemsPerPage=2&pageNum=1&includeCount=false",
        "next": f"{URL}?itemsPerPage=2&pageNum=3&includeCount=false",
    }


def test_page_has_100_results_by_default():
    response = get_page({}, 1000)
    assert len(response.content["results"]) == 100
    assert links_of(response)["next"] == f"{URL}?itemsPerPage=100&pageNum=2"


def test_total_count_can_be_left_out():
    assert "totalCount" not in get_page({"includeCount": "false"}, 9).content


def test_only_the_page_s_own_results_are_made():
    made = []
    get_page({"itemsPerPage": "500", "pageNum": "200"}, 100_000, lambda index: made.append(index) or {})
    assert made == list(range(99_500, 100_000))


@pytest.mark.parametrize(
    ("name", "value", "description"),
    [
        ("itemsPerPage", "0", "must be between 1 and 500"),
        ("itemsPerPage", "501", "must be between 1 and 500"),
        ("itemsPerPage", "-1", "must be between 1 and 500"),
        ("itemsPerPage", "", "must be between 1 and 500"),
        ("itemsPerPage", "many", "must be between 1 and 500"),
        ("itemsPerPage", "1.5", "must be between 1 and 500"),
        ("pageNum", "0", "must be greater than or equal to 1"),
        ("pageNum", "9" * 5000, "must be greater than or equal to 1"),
        ("includeCount", "yes", "must be true or false"),
    ],
)
def test_error_for_a_bad_parameter_says_what_it_must_be(name, value, description):
    response = get_page({name: value}, 9)
    assert (response.status, response.content["errorCode"], response.content["parameters"]) == (
        400,
        "VALIDATION_ERROR",
        [name],
    )
    assert response.content["badRequestDetail"] == {"fields": [{"field": name, "description": description}]}


def test_error_names_all_bad_parameters():
    fields = get_page({"itemsPerPage": "x", "pageNum": "x"}, 9).content["badRequestDetail"]["fields"]
    assert [field["field"] for field in fields] == ["itemsPerPage", "pageNum"]
