"""A store in memory for the tests of the deployment scope, with what can go wrong with a real one."""

from __future__ import annotations

from collections.abc import Callable

from airflow_provider_atlas.exceptions import StoreUnavailable


class MemoryStore:
    """Texts in a dictionary; ``down`` and ``read_only`` at any time; ``before_write`` runs in between."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.down = False
        self.read_only = False
        self.before_write: Callable[[str, str], None] = lambda name, text: None

    def read(self, name: str) -> str | None:
        if self.down:
            raise StoreUnavailable
        return self.texts.get(name)

    def write(self, name: str, text: str) -> None:
        if self.down or self.read_only:
            raise StoreUnavailable
        self.before_write(name, text)
        self.texts[name] = text

    def remove(self, name: str) -> None:
        if self.down or self.read_only:
            raise StoreUnavailable
        self.texts.pop(name, None)
