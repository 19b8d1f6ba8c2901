"""The documentation for the tests: its pages, and the code blocks in them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from sybil import Example
from sybil.document import Document
from sybil.evaluators.python import pad
from sybil.parsers.myst import CodeBlockParser

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted(page for page in DOCS.rglob("*.md") if DOCS / "_build" not in page.parents),
]


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def blocks(page: Path, language: str) -> Iterator[Example]:
    """The code blocks of a page, including invisible ones that prepare others. They share a namespace."""
    return Document.parse(str(page), CodeBlockParser(language, evaluator=run)).examples()


def run(example: Example) -> None:
    """Run a block as a module. The value of its last expression, which may be a DAG, is ``made`` in its namespace."""
    tree = ast.parse(pad(example.parsed, example.line + example.parsed.line_offset))
    last = tree.body[-1]
    if isinstance(last, ast.Expr):
        tree.body[-1] = ast.copy_location(ast.Assign([ast.Name("made", ast.Store())], last.value), last)
        ast.fix_missing_locations(tree)
    exec(compile(tree, example.path, "exec"), example.namespace)  # noqa: S102


def is_dag(example: Example) -> bool:
    return "@dag" in example.parsed
