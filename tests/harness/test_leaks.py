"""A secret is found in every form and place, and nothing else is found."""

from __future__ import annotations

import base64
import contextlib
import json
import secrets
import sqlite3
import time
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
from cryptography.fernet import Fernet

from harness.leaks import Leak, Pattern, forms, needles, search, watch

SECRET = "mdb sa/sk+Only\"for'tests~é>>>???0123456789"


def encodings(text: str) -> dict[str, bytes]:
    return {
        "plain": f"Bearer {text}!".encode(),
        "quote": quote(text, safe="").encode(),
        "quote_plus": quote_plus(text).encode(),
        "json": json.dumps({"token": text}).encode(),
        "json in json": json.dumps(json.dumps({"token": text})).encode(),
        "repr": repr({"token": text}).encode(),
        **{
            f"{name} after {before}": encode(b"i" * before + text.encode() + b"tail")
            for before in range(4)
            for name, encode in (("base64", base64.b64encode), ("urlsafe", base64.urlsafe_b64encode))
        },
    }


@pytest.mark.parametrize("encoding", encodings(""))
def test_every_form_is_found_at_every_offset(encoding):
    pattern = Pattern({"secret": forms(SECRET)})
    for offset in range(8):
        text = b"." * offset + encodings(SECRET)[encoding]
        assert pattern.found_in(text), offset
        assert pattern.found_in(text + b"." * 9), offset


@pytest.mark.parametrize("encoding", encodings(""))
def test_another_secret_is_not_found(encoding):
    assert Pattern({"secret": forms(SECRET)}).found_in(encodings(SECRET.replace("Only", "Many"))[encoding]) == set()


def test_a_form_with_several_names_has_the_simplest_and_the_secret_is_not_shown():
    found = Pattern({"client secret": forms("only-letters-and-digits-0123")}).found_in(b"only-letters-and-digits-0123")
    assert found == {"client secret as plain text"}


def test_short_secrets_are_found_and_too_short_ones_refused():
    assert Pattern({"s": forms("12345678")}).found_in(b"x12345678") == {"s as plain text"}
    with pytest.raises(ValueError, match="a secret of 7 bytes"):
        forms("1234567")


@pytest.mark.parametrize("length", range(8, 24))
def test_secrets_of_every_length_are_found_at_every_offset(length):
    secret = "0123456789abcdefghijklmn"[:length]
    pattern = Pattern({"s": {secret.encode(): "plain text"}})
    assert all(pattern.found_in(b"." * offset + secret.encode()) for offset in range(8))


def test_tokens_that_differ_only_at_their_ends_are_distinguished():
    tokens = [f"eyJhbGciOiJFUzUxMiIsInR5cCI6IkpXVCJ9.{secrets.token_urlsafe(30)}" for _ in range(3)]
    pattern = Pattern(needles("mdb_sa_id_1", "mdb_sa_sk_secret", tokens))
    assert pattern.found_in(f"{tokens[1]}, {tokens[2][:-1]}".encode()) == {"token 2 as plain text"}


def test_basic_credentials_are_found():
    pair = base64.b64encode(b"mdb_sa_id_1:mdb_sa_sk_secret")
    found = Pattern(needles("mdb_sa_id_1", "mdb_sa_sk_secret", [])).found_in(b"Authorization: Basic " + pair)
    assert found == {"Basic credentials as base64", "client secret as base64"}


def test_hundreds_of_tokens_in_tens_of_megabytes_take_seconds():
    pattern = Pattern(needles("mdb_sa_id_1", "mdb_sa_sk_secret", [secrets.token_urlsafe(400) for _ in range(400)]))
    text = base64.b64encode(secrets.token_bytes(15_000_000))
    began = time.monotonic()
    assert pattern.found_in(text) == set()
    assert time.monotonic() - began < 15


def found(airflow, *files):
    return search({"secret": forms(SECRET)}, airflow, files).leaks


def places(airflow):
    """Tables and columns, without the raw files of the database, which also hold every plain text."""
    return {leak.place for leak in found(airflow) if not leak.place.startswith("airflow.db")}


def encrypted_text(airflow):
    return Fernet(airflow.fernet_key).encrypt(SECRET.encode()).decode()


def test_the_encrypted_password_of_a_connection_is_not_a_leak(airflow, write):
    watch(airflow)
    write("INSERT INTO connection VALUES (1, ?, NULL)", values=[encrypted_text(airflow)])
    assert found(airflow) == []


def test_the_encrypted_previous_secret_of_a_connection_is_not_a_leak(airflow, write):
    extra = Fernet(airflow.fernet_key).encrypt(json.dumps({"max_wait": 1, "previous_secret": SECRET}).encode()).decode()
    write("INSERT INTO connection VALUES (1, NULL, ?)", values=[extra])
    assert found(airflow) == []


def test_a_password_that_is_not_encrypted_is_a_leak(airflow, write):
    write("INSERT INTO connection VALUES (1, ?, NULL)", values=[SECRET])
    assert places(airflow) == {"connection.password"}


@pytest.mark.parametrize("place", ["connection.extra", "variable.val", "trigger.kwargs"])
def test_text_that_airflow_encrypted_is_decrypted_and_searched(airflow, write, place):
    table, column = place.split(".")
    value = json.dumps({"kept": encrypted_text(airflow)})
    write(f"INSERT INTO {table} ({column}) VALUES (?)", values=[value])
    assert found(airflow) == [Leak(place, "secret as plain text")]


def test_text_that_was_encrypted_with_another_key_is_not_decrypted(airflow, write):
    write("INSERT INTO xcom VALUES (?)", values=[Fernet(Fernet.generate_key()).encrypt(SECRET.encode())])
    assert found(airflow) == []


@pytest.mark.parametrize("value", [SECRET, SECRET.encode(), json.dumps(SECRET)])
def test_plain_text_is_found_in_a_row_and_in_the_raw_files_of_the_database(airflow, value):
    with contextlib.closing(sqlite3.connect(airflow.database.path)) as database:
        database.execute("INSERT INTO xcom VALUES (?)", (value,))
        database.commit()
        assert {leak.place for leak in found(airflow)} == {"xcom.value", "airflow.db-wal"}
    assert {leak.place for leak in found(airflow)} == {"xcom.value", "airflow.db"}


@pytest.mark.parametrize("encrypted", [False, True])
def test_a_deleted_row_is_found_if_the_database_was_watched(airflow, write, encrypted):
    watch(airflow)
    write("INSERT INTO trigger VALUES (1, ?)", values=[encrypted_text(airflow) if encrypted else SECRET])
    write("DELETE FROM trigger")
    assert places(airflow) == {"trigger.kwargs"}


def test_a_replaced_value_is_found_if_the_database_was_watched(airflow, write):
    write("INSERT INTO task_instance (state) VALUES ('deferred')")
    watch(airflow)
    for value in (SECRET, None):
        write("UPDATE task_instance SET next_kwargs = ?", values=[value])
    assert places(airflow) == {"task_instance.next_kwargs"}


def test_every_file_of_the_home_directory_and_other_files_are_searched_and_counted(airflow, tmp_path_factory):
    log = airflow.home / "logs" / "run_id=1" / "attempt=1.log"
    log.parent.mkdir(parents=True)
    log.write_text(SECRET)
    (airflow.home / "connections.json").write_text(json.dumps({"password": SECRET}))
    other = tmp_path_factory.mktemp("other") / "sandbox.log"
    other.write_text(quote(SECRET, safe=""))
    assert found(airflow, other) == [
        Leak("connections.json", "secret as JSON"),
        Leak("logs/run_id=1/attempt=1.log", "secret as plain text"),
        Leak("sandbox.log", "secret as URL-encoded"),
    ]
    size = sum(path.stat().st_size for path in (log, other, airflow.database.path))
    assert search({}, airflow, [other]).searched >= size


def test_a_file_that_is_deleted_during_the_search_is_not_an_error(airflow, monkeypatch):
    (airflow.home / "airflow.db-journal").touch()
    (airflow.home / "last.log").write_text(SECRET)
    read = Path.read_bytes

    def vanish(path: Path) -> bytes:
        if path.name == "airflow.db-journal":
            path.unlink()
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", vanish)
    assert found(airflow) == [Leak("last.log", "secret as plain text")]
    assert not (airflow.home / "airflow.db-journal").exists()
