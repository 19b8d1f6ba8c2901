"""No frame of this package that an exception keeps alive holds a secret.

A crash reporter such as Sentry sends the local variables of every frame in a traceback, and ours hold tokens, the
client secret and Airflow's connection, whose ``repr`` prints its password. So the public methods let no exception out
without clearing the frames beneath them. The lines of the traceback stay; the variables go.
"""

from __future__ import annotations

import functools
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def clear(error: BaseException) -> None:
    """
    Clear the frames beneath the caller, of the error that it handles and of the errors that led to it.

    An error that was being handled before the caller was called is not its own: the frames of such an error have the
    user's variables, and a generator among them would be closed. Its traceback begins at a frame further up.
    """
    above: set[FrameType] = set()
    frame = sys._getframe(1).f_back
    while frame is not None:
        above.add(frame)
        frame = frame.f_back
    seen: set[int] = set()
    todo: list[BaseException | None] = [error]
    while todo:
        item = todo.pop()
        if item is None or id(item) in seen:
            continue
        seen.add(id(item))
        if item.__traceback__ is None or item.__traceback__.tb_frame not in above:
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
