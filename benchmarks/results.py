"""Where the benchmarks keep what they measured, and the one form of their tables."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeVar

RESULTS = Path(__file__).parent.parent / "docs" / "measured"
Row = TypeVar("Row")


def read(name: str, kind: type[Row]) -> list[Row]:
    """The rows of an earlier run, dataclasses of this kind; none before the first run."""
    file = RESULTS / name
    return [kind(**row) for row in json.loads(file.read_text())] if file.exists() else []


def keep(name: str, rows: Iterable[Any]) -> None:
    """Write rows, which are dataclasses."""
    (RESULTS / name).write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def markdown(head: Sequence[str], rows: Iterable[Iterable[str]]) -> str:
    """A table in Markdown: a column of names, and figures."""
    lines = (head, ["---", *["--:"] * (len(head) - 1)], *rows)
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
