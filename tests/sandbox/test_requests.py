"""Requests are parsed as strictly as Atlas parses them."""

from __future__ import annotations

import base64

import pytest

from airflow_provider_atlas.sandbox.requests import FORM, AtlasRequest, decode_basic


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("Bearer abc", "abc"),
        ("bearer  abc ", "abc"),
        ("BEARER abc", "abc"),
        ("Bearer", ""),
        ("Basic abc", None),
        ("Bearerabc", None),
        ("", None),
    ],
)
def test_case_of_the_scheme_does_not_matter(header, expected):
    assert AtlasRequest("/", headers={"authorization": header}).credentials("Bearer") == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (b"mdb_sa_id_1:mdb_sa_sk_2", ("mdb_sa_id_1", "mdb_sa_sk_2")),
        (b"id:se:cret", ("id", "se:cret")),
        (b"mdb%5Fid:%5F", ("mdb%5Fid", "%5F")),
        (b":", ("", "")),
        (b"no colon", None),
        (b"\xff\xfe:x", None),
    ],
)
def test_basic_credentials_are_not_percent_decoded(text, expected):
    assert decode_basic(base64.b64encode(text).decode()) == expected


@pytest.mark.parametrize("value", ["", "???", "YTpi YTpi", "YTp"])
def test_basic_credentials_that_are_not_base64_are_none(value):
    assert decode_basic(value) is None


@pytest.mark.parametrize(
    ("content_type", "body", "expected"),
    [
        (FORM, b"grant_type=client_credentials", {"grant_type": "client_credentials"}),
        (f"{FORM.upper()}; charset=utf-8", b"a=1&b=", {"a": "1", "b": ""}),
        (FORM, b"token=a%2Bb+c", {"token": "a+b c"}),
        (FORM, b"", {}),
        (FORM, b"a=1&a=2", None),
        (FORM, b"a", None),
        (FORM, b"a=\xff", None),
        (FORM, b"a=%ff", None),
        ("application/json", b'{"grant_type": "client_credentials"}', None),
        ("", b"a=1", None),
    ],
)
def test_form_needs_the_right_content_type_and_a_valid_body(content_type, body, expected):
    assert AtlasRequest("/", headers={"content-type": content_type}, body=body).form() == expected


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("True", True), ("false", False), ("1", False)])
def test_flag_is_set_by_true_only(value, expected):
    assert AtlasRequest("/", query={"pretty": value}).flag("pretty") is expected


def test_missing_flag_is_false():
    assert AtlasRequest("/").flag("envelope") is False


def test_repr_shows_neither_headers_nor_body():
    assert "hidden" not in repr(AtlasRequest("/", headers={"authorization": "hidden"}, body=b"hidden"))
