"""No frame of this package that an exception keeps alive holds a secret.

A crash reporter such as Sentry sends the local variables of every frame in a traceback, and ours hold tokens, the
client secret and Airflow's connection, whose ``repr`` prints its password. So the public methods let no exception out
without clearing the frames beneath them. The lines of the traceback stay; the variables go.
"""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def clear(error: BaseException) -> None:
    """Clear the frames of an exception and of those that it stands for. Frames that still run are left alone."""
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        item = todo.pop()
        if item is not None and id(item) not in seen:
            seen.add(id(item))
            traceback.clear_frames(item.__traceback__)
            todo += [item.__cause__, item.__context__]


def cleared(function: Callable[P, T]) -> Callable[P, T]:
    """Decorate a function whose arguments may be secret: its exceptions leave with no variables."""

    @functools.wraps(function)
    def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except BaseException as error:
            clear(error)
            del args, kwargs  # this frame still runs
            raise

    return wrapper
