"""A request may go only to the origin of the connection, however the endpoint is written."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.api.urls import at_atlas
from airflow_provider_atlas.api.version import media_type
from airflow_provider_atlas.exceptions import InvalidCall

BASE = "https://cloud.mongodb.com"


@pytest.mark.parametrize(
    ("endpoint", "path"),
    [
        ("/api/atlas/v2/groups", "/api/atlas/v2/groups"),
        ("api/atlas/v2/groups", "/api/atlas/v2/groups"),
        ("/api/atlas/v2/groups?pageNum=2&itemsPerPage=5", "/api/atlas/v2/groups?pageNum=2&itemsPerPage=5"),
        ("/api/atlas/v2/groups#part", "/api/atlas/v2/groups"),
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


@pytest.mark.parametrize("path", ["/api/../oauth", "/..", "..", "/api/%2e%2e/x", "/api/%252e%252e/x", "/api/.%2E"])
def test_a_path_with_dot_segments_is_refused(path):
    with pytest.raises(InvalidCall, match=r"\.\. in its path"):
        at_atlas(BASE, path)


@pytest.mark.parametrize("endpoint", [None, 7, b"/api"])
def test_an_endpoint_that_is_not_text_is_refused(endpoint):
    with pytest.raises(InvalidCall):
        at_atlas(BASE, endpoint)


def test_a_date_is_a_valid_version():
    assert media_type("2025-03-12") == "application/vnd.atlas.2025-03-12+json"


@pytest.mark.parametrize(
    "version", ["v2", "", "2025-3-12", "2025-13-01", "2025-03-12+json\r\nX: y", "\u0662025-03-12", None]
)
def test_a_version_that_is_not_a_date_is_refused(version):
    with pytest.raises(InvalidCall, match="api_version"):
        media_type(version)
