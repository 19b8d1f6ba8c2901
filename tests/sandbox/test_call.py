"""Requests are read strictly: what Atlas would not understand, the sandbox does not."""

from __future__ import annotations

import base64

import pytest

from airflow_provider_atlas.sandbox.call import FORM, Call, decode_basic


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
def test_the_scheme_is_matched_whatever_its_case(header, expected):
    assert Call("/", headers={"authorization": header}).credentials("Bearer") == expected


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
def test_basic_credentials_are_taken_raw(text, expected):
    assert decode_basic(base64.b64encode(text).decode()) == expected


@pytest.mark.parametrize("value", ["", "???", "YTpi YTpi", "YTp"])
def test_what_is_no_base64_is_no_credentials(value):
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
def test_a_form_is_a_form_by_type_and_by_text(content_type, body, expected):
    assert Call("/", headers={"content-type": content_type}, body=body).form() == expected


@pytest.mark.parametrize(("value", "expected"), [("true", True), ("True", True), ("false", False), ("1", False)])
def test_flags_are_booleans_by_name(value, expected):
    assert Call("/", query={"pretty": value}).flag("pretty") is expected


def test_a_flag_that_is_not_there_is_false():
    assert Call("/").flag("envelope") is False


def test_neither_headers_nor_body_are_in_the_repr():
    assert "hidden" not in repr(Call("/", headers={"authorization": "hidden"}, body=b"hidden"))
