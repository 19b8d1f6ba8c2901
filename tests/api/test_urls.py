"""A request may go only to the origin of the connection, however the endpoint is written."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, timezone
from enum import Enum

import pytest

from airflow_provider_atlas.api.urls import at_atlas, fill, query
from airflow_provider_atlas.api.version import media_type
from airflow_provider_atlas.exceptions import InvalidCall

BASE = "https://cloud.mongodb.com"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("/api/atlas/v2/groups", "/api/atlas/v2/groups"),
        ("api/atlas/v2/groups", "/api/atlas/v2/groups"),
        ("/api/atlas/v2/groups?pageNum=2&itemsPerPage=5", "/api/atlas/v2/groups?pageNum=2&itemsPerPage=5"),
        ("/api/atlas/v2/groups/byName/a..b", "/api/atlas/v2/groups/byName/a..b"),
        ("https://cloud.mongodb.com/api/atlas/v2/groups", "/api/atlas/v2/groups"),
        ("https://CLOUD.MongoDB.com/api", "/api"),
        ("https://cloud.mongodb.com./api", "/api"),
        ("https://cloud.mongodb.com:443/api", "/api"),
        ("", "/"),
    ],
)
def test_endpoints_at_atlas_become_normalized_urls(endpoint, path):
    assert at_atlas(BASE, endpoint) == BASE + path


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://cloud.mongodb.com.evil.example/api",
        "https://cloud.mongodb.com@evil.example/api",
        "https://user:pass@cloud.mongodb.com/api",
        "https://evil.example/https://cloud.mongodb.com/api",
        "https://cloud.mongodb.com:8443/api",
        "http://cloud.mongodb.com/api",
        "ftp://cloud.mongodb.com/api",
        "//cloud.mongodb.com/api",
        "//evil.example/api",
        "https:evil.example",
        "https:///api",
        "https://cloud.mongodb.com\\@evil.example/api",
        "\\\\evil.example/api",
        "https://[::1/api",
        "https://cloud.mongodb.com:port/api",
        "javascript:alert(1)",
        "/api\r\nHost: evil.example",
        "/api/atlas/caf\u00e9",
    ],
)
def test_endpoints_at_another_origin_are_refused(endpoint):
    with pytest.raises(InvalidCall, match="endpoint"):
        at_atlas(BASE, endpoint)


@pytest.mark.parametrize(
    "path",
    [
        "/api/../oauth",
        "/..",
        "..",
        "/api/%2e%2e/x",
        "/api/%252e%252e/x",
        "/api/%25252e./x",
        "/api/.%2E",
        "/api/..;/x",
        "/api/..;a=b/x",
        "/api/%2e%2e%3b/x",
        "/api/..%2fx",
        "/api/..%5cx",
        "/api/./x",
        "/api/%2e",
    ],
)
def test_a_path_with_dot_segments_is_refused(path):
    with pytest.raises(InvalidCall, match=r"\.\. in its path"):
        at_atlas(BASE, path)


@pytest.mark.parametrize("path", ["/api/a%00b", "/api/a%0d%0aX: y", "/api/a%250ab", "/api/%7f", "/api/%e2%80%ae"])
def test_a_path_with_control_characters_is_refused(path):
    with pytest.raises(InvalidCall, match="control characters"):
        at_atlas(BASE, path)


def test_a_fragment_is_refused_because_it_would_be_dropped():
    with pytest.raises(InvalidCall, match="#"):
        at_atlas(BASE, "/api/atlas/v2/groups/g/databaseUsers/admin/app#1")


class Named(str, Enum):  # noqa: UP042 - as people write them
    LOG = "mongodb"


class Numbered(int, Enum):
    ONE = 1


USER = "/api/atlas/v2/groups/{groupId}/databaseUsers/{databaseName}/{username}"


@pytest.mark.parametrize(
    ("username", "quoted"),
    [
        ("app#1", "app%231"),
        ("a/b", "a%2Fb"),
        ("a b", "a%20b"),
        ("100%", "100%25"),
        ("a?b=c", "a%3Fb%3Dc"),
        ("a;b", "a%3Bb"),
        ("arn:aws:iam::1:role/x", "arn%3Aaws%3Aiam%3A%3A1%3Arole%2Fx"),
        ("CN=J\u00f6rg,O=x", "CN%3DJ%C3%B6rg%2CO%3Dx"),
        ("{groupId}", "%7BgroupId%7D"),
        (7, "7"),
        ("\u3000", "%E3%80%80"),
        (Named.LOG, "mongodb"),
        (Numbered.ONE, "1"),
    ],
)
def test_a_value_is_one_segment_of_the_path(username, quoted):
    path = fill(USER, {"groupId": "g", "databaseName": "admin", "username": username})
    assert path == f"/api/atlas/v2/groups/g/databaseUsers/admin/{quoted}"
    assert at_atlas(BASE, path) == BASE + path


@pytest.mark.parametrize("value", ["", None, True, 1.5, ["a"], b"a", "a\nb", "a\x00"])
def test_a_value_that_cannot_be_a_segment_is_refused(value):
    with pytest.raises(InvalidCall, match="'name'"):
        fill("/api/{name}", {"name": value})


@pytest.mark.parametrize("value", [".", "..", "%2e%2e", "../../orgs", "..;x"])
def test_a_value_that_would_be_a_dot_segment_is_refused(value):
    with pytest.raises(InvalidCall):
        at_atlas(BASE, fill("/api/{name}", {"name": value}))


@pytest.mark.parametrize(
    ("template", "values", "message"),
    [
        ("/api/{a}/{b}", {"a": 1}, "path={'b'"),
        ("/api/{a}", None, "path={'a'"),
        ("/api/{a}", {"a": 1, "b": 2}, "the names 'b'"),
        ("/api", {"a": 1}, "the names 'a'"),
    ],
)
def test_a_name_that_is_missing_or_not_used_is_refused(template, values, message):
    with pytest.raises(InvalidCall, match=re.escape(message)):
        fill(template, values)


def test_query_values_are_written_as_atlas_reads_them():
    params = {
        "flag": True,
        "off": False,
        "many": ["a", True],
        "left out": None,
        "at": datetime(2025, 3, 12, 1, 2, 3, 4, tzinfo=timezone(timedelta(hours=1))),
        "naive": datetime(2025, 3, 12),
        "day": date(2025, 3, 12),
        "number": 7,
    }
    assert query(params) == {
        "flag": "true",
        "off": "false",
        "many": ["a", "true"],
        "at": "2025-03-12T00:02:03Z",
        "naive": "2025-03-12T00:00:00Z",
        "day": "2025-03-12",
        "number": 7,
    }


@pytest.mark.parametrize("value", [{}, [None], object(), b"x"])
def test_a_query_value_of_another_type_is_refused(value):
    with pytest.raises(InvalidCall, match="'name'"):
        query({"name": value})


@pytest.mark.parametrize("endpoint", [None, 7, b"/api"])
def test_an_endpoint_that_is_not_text_is_refused(endpoint):
    with pytest.raises(InvalidCall):
        at_atlas(BASE, endpoint)


@pytest.mark.parametrize("version", ["2025-03-12", "preview", "2025-09-22.upcoming"])
@pytest.mark.parametrize("form", ["json", "csv", "gzip"])
def test_a_media_type_has_version_and_form(version, form):
    assert media_type(version, form) == f"application/vnd.atlas.{version}+{form}"


@pytest.mark.parametrize("form", ["xml", "", None, "json\r\nX: y"])
def test_another_form_is_refused(form):
    with pytest.raises(InvalidCall, match="accept must be one of json, csv, gzip"):
        media_type("2025-03-12", form)


@pytest.mark.parametrize(
    "version", ["v2", "", "2025-3-12", "2025-13-01", "2025-03-12+json\r\nX: y", "\u0662025-03-12", None]
)
def test_a_version_that_is_not_a_date_is_refused(version):
    with pytest.raises(InvalidCall, match="api_version"):
        media_type(version)


@pytest.mark.parametrize("value", [7, "a=b", [("a", 1)], b"x"])
def test_values_must_be_given_by_name(value):
    with pytest.raises(InvalidCall, match="params must be"):
        query(value)
    with pytest.raises(InvalidCall, match="path must be"):
        fill("/api", value)
