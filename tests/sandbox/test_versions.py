"""Which version serves which Accept header, and how the others are refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from airflow_provider_atlas.sandbox.versions import negotiate, version_headers

NOW = datetime(2026, 7, 1, tzinfo=UTC).timestamp()


def accept(date):
    return f"application/vnd.atlas.{date}+json"


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        (accept("2025-03-12"), "2025-03-12"),
        (accept("2025-03-11"), "2024-08-05"),
        (accept("2026-07-01"), "2025-03-12"),
        (accept("2023-01-01"), "2023-01-01"),
        (accept("2023-01-31"), "2023-01-01"),
        (f"text/html, {accept('2024-05-30')};q=0.9, */*", "2024-05-30"),
    ],
)
def test_the_newest_version_not_after_the_date_serves(header, expected):
    assert negotiate(header, "/api/atlas/v2/groups", NOW) == expected


@pytest.mark.parametrize(
    "header",
    [
        "",
        "*/*",
        "application/json",
        accept("2026-07-02"),
        accept("2025-13-45"),
        accept("2025-3-12"),
        accept("latest"),
        accept("2025-03-12").replace("+json", "+csv"),
        accept("2025-03-12") + "x",
    ],
)
def test_no_version_no_date_and_a_date_to_come_are_not_acceptable(header):
    answer = negotiate(header, "/api/atlas/v2/groups", NOW)
    assert (answer.status, answer.content["errorCode"]) == (406, "INVALID_VERSION_DATE")
    assert answer.content["detail"] == "Invalid accept header or version date."


def test_a_removed_version_is_gone():
    answer = negotiate(accept("2022-12-31"), "/api/atlas/v2/groups", NOW)
    assert (answer.status, answer.content["errorCode"]) == (410, "VERSION_GONE")
    assert answer.content["parameters"] == ["2022-12-31", "api/atlas/v2/groups"]


def test_a_clock_before_the_newest_version_does_not_hide_it():
    assert negotiate(accept("2025-03-12"), "/", 0.0) == "2025-03-12"


def test_old_versions_say_that_they_will_end():
    assert set(version_headers("2023-11-15")) == {"Content-Type", "Deprecation", "Sunset"}
    assert version_headers("2023-11-15")["Deprecation"] == "Mon, 01 Jan 2024 00:00:00 GMT"
    assert version_headers("2024-05-30") == {"Content-Type": "application/vnd.atlas.2024-05-30+json;charset=utf-8"}
