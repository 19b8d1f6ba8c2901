"""
A search for secrets in everything that an Airflow writes, including what it deletes later.

A search of the database after a run is not enough: Variables are encrypted, and the rows of triggers and deferred tasks
are deleted by then. So :func:`watch` makes the database keep a copy of everything that is written to it, and
:func:`search` decrypts what was encrypted with Airflow's key.
"""

from __future__ import annotations

import base64
import contextlib
import json
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, quote_plus

from harness.database import KEPT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from harness.airflow import PrivateAirflow

SHORTEST = 8
"""Bytes. Shorter values would be found by chance."""

ALLOWED = "connection.password"
"""Where a secret may be, encrypted."""

PREVIOUS = re.compile(rb'"previous_secret": "[^"]*"')
"""The other place: this key of `connection.extra`, encrypted as well."""


@dataclass(frozen=True, order=True)
class Leak:
    """
    A secret in a place where it must not be. The secret itself is not in here.

    :param place: a file, or a table and its column
    :param what: the label of the secret and the form in which it was found
    """

    place: str
    what: str


class Findings(NamedTuple):
    """What a search found, and how many bytes it searched."""

    leaks: list[Leak]
    searched: int


def forms(secret: str) -> dict[bytes, str]:
    """
    Each form in which a secret can be written, with the form's name.

    :raises ValueError: the secret is too short
    """
    raw = secret.encode()
    if len(raw) < SHORTEST:
        raise ValueError(f"a secret of {len(raw)} bytes would be found by chance; it must have {SHORTEST} or more")
    escaped = json.dumps(secret)[1:-1]
    found: dict[bytes, str] = {}
    for before in range(3):
        # In a longer text, for instance in Basic credentials: the characters that depend on this secret only.
        encoded = base64.b64encode(bytes(before) + raw)[(0, 2, 3)[before] : (before + len(raw)) * 8 // 6]
        found |= dict.fromkeys((encoded, encoded.translate(bytes.maketrans(b"+/", b"-_"))), "base64")
    # Most secrets are the same text in most forms. The simplest name comes last and overwrites the others.
    return found | {
        repr(secret)[1:-1].encode(): "repr",
        json.dumps(escaped)[1:-1].encode(): "JSON in JSON",
        escaped.encode(): "JSON",
        quote_plus(secret).encode(): "URL-encoded",
        quote(secret, safe="").encode(): "URL-encoded",
        raw: "plain text",
    }


def needles(client_id: str, client_secret: str, tokens: Iterable[str]) -> dict[str, dict[bytes, str]]:
    """What to search for, by label: the client secret, the Basic credentials and every token that was issued."""
    pair = base64.b64encode(f"{client_id}:{client_secret}".encode())
    return {
        "client secret": forms(client_secret),
        "Basic credentials": {pair: "base64"},
        **{f"token {number}": forms(token) for number, token in enumerate(tokens, 1)},
    }


def watch(airflow: PrivateAirflow) -> None:
    """Make the database keep a copy of every long text that is written from now on, with its table and column."""
    airflow.database.keep_writes(SHORTEST)


def search(needles: Mapping[str, Mapping[bytes, str]], airflow: PrivateAirflow, files: Iterable[Path] = ()) -> Findings:
    """
    Search every table, the copies of :func:`watch`, every file in the home directory, and some other files.

    The home directory holds the raw files of a SQLite database, the logs and the output of every process.
    """
    pattern = Pattern(needles)
    leaks, searched = set(), 0
    for place, text in (*_cells(airflow), *_files(airflow.home), *((path.name, path.read_bytes()) for path in files)):
        leaks |= {Leak(place, what) for what in pattern.found_in(text)}
        searched += len(text)
    return Findings(sorted(leaks), searched)


class Pattern:
    """
    A search for thousands of byte strings in one pass, which takes some 5 ms for a megabyte, whatever their number.

    Any 15 bytes of a text contain an aligned block of 8 bytes. So the text is read as 64-bit numbers. Each number is
    looked up among the eight alignments of every needle's end (the beginnings are often the same). Only the needles
    that this finds are then searched for in full.
    """

    def __init__(self, needles: Mapping[str, Mapping[bytes, str]]) -> None:
        self._short: list[tuple[bytes, str]] = []
        self._long: dict[int, list[tuple[bytes, str]]] = defaultdict(list)
        for label, known in needles.items():
            for form, name in known.items():
                entry = (form, f"{label} as {name}")
                if len(form) < 15:
                    self._short.append(entry)
                else:
                    for start in range(len(form) - 15, len(form) - 7):
                        self._long[int.from_bytes(form[start : start + 8], sys.byteorder)].append(entry)

    def found_in(self, text: bytes) -> set[str]:
        """Label and form of every needle that a text contains."""
        blocks = memoryview(text)[: len(text) // 8 * 8].cast("Q")
        candidates = [entry for number in self._long.keys() & blocks for entry in self._long[number]]
        return {what for form, what in (*self._short, *candidates) if form in text}


def _cells(airflow: PrivateAirflow) -> Iterator[tuple[str, bytes]]:
    columns: dict[str, list[bytes]] = defaultdict(list)
    tables = airflow.database.tables()
    for table in tables:
        for row in airflow.query(f'SELECT * FROM "{table}"') if table != KEPT else ():
            for column in row.keys():  # noqa: SIM118 - a row iterates over its values
                columns[f"{table}.{column}"].append(_bytes(row[column]))
    if KEPT in tables:
        for place, value in airflow.query(f"SELECT DISTINCT place, value FROM {KEPT}"):
            columns[place].append(_bytes(value))
    for place, values in columns.items():
        text = b"\n".join(values)
        yield place, text
        if place != ALLOWED:
            decrypted = b"\n".join(_decrypted(text, airflow.fernet_key))
            yield place, PREVIOUS.sub(b"", decrypted) if place == "connection.extra" else decrypted


def _files(home: Path) -> Iterator[tuple[str, bytes]]:
    for path in sorted(home.rglob("*")):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file():
                yield str(path.relative_to(home)), path.read_bytes()


def _bytes(value: object) -> bytes:
    # PostgreSQL's driver returns a buffer for binary data and parses JSON; in a copy, binary data is hexadecimal.
    if isinstance(value, (bytes, memoryview)):
        return bytes(value)
    if isinstance(value, str) and value.startswith("\\x"):
        return bytes.fromhex(value[2:])
    return (value if isinstance(value, str) else json.dumps(value, default=str)).encode()


def _decrypted(text: bytes, key: str) -> Iterator[bytes]:
    from cryptography.fernet import Fernet, InvalidToken

    fernet = Fernet(key)
    for token in set(re.findall(rb"gAAAAA[\w-]+=*", text)):
        with contextlib.suppress(InvalidToken):
            yield fernet.decrypt(token)
