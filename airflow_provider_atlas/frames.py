"""How an exception leaves this package: without secrets in its frames, and with what to do about it first.

A crash reporter such as Sentry sends the local variables of every frame in a traceback, and ours hold tokens, the
client secret and Airflow's connection, whose ``repr`` prints its password. So the public methods let no exception out
without clearing the frames beneath them. The variables go.

An error of this provider says itself what is wrong and what to do. A log that is longer than the screen opens at its
end, where 30 frames of ours and of libraries would stand instead. So the outermost public method logs one line with
the remedy, and drops the frames beneath it, which remain in the log at level DEBUG. Every other exception is a fault of
ours or of somebody else, and keeps its lines.
"""

from __future__ import annotations

import functools
import logging
import sys
import traceback
from collections.abc import Callable
from types import FrameType
from typing import ParamSpec, TypeVar

from airflow_provider_atlas.exceptions import AtlasApiError, AtlasError

P = ParamSpec("P")
T = TypeVar("T")
log = logging.getLogger(__name__)


def leave(error: BaseException) -> None:
    """
    Clear the frames beneath the caller, see :func:`clear`, and shorten the traceback of an error of this provider.

    An error that an outer public method of this package may handle is left to that one.
    """
    above = _above(sys._getframe(1).f_back)
    _clear(error, above)
    if not isinstance(error, AtlasError) or any(frame.f_code is _BOUNDARY for frame in above):
        return
    if not error.told:
        error.told = True
        log.debug("The error with all frames:", exc_info=error)
        # A DAG often asks whether something exists, or asks for what is so already: that is no fault.
        if not (isinstance(error, AtlasApiError) and (error.status == 404 or error.meaning == "already so")):
            log.error("%s", f"What to do: {error.remedy}" if error.remedy else error)
    last = error.__traceback__
    while last is not None and last.tb_frame.f_code is _BOUNDARY:
        last = last.tb_next  # the public method itself stays
    if last is not None:
        last.tb_next = None
    if error.__cause__ is None:
        context = error.__context__
        while context is not None and (context.__traceback__ is None or context.__traceback__.tb_frame not in above):
            context = context.__context__
        error.__context__ = context  # what the user was handling, if anything


def clear(error: BaseException) -> None:
    """
    Clear the frames beneath the caller, of the error that it handles and of the errors that led to it.

    An error that was being handled before the caller was called is not its own: the frames of such an error have the
    user's variables, and a generator among them would be closed. Its traceback begins at a frame further up.
    """
    _clear(error, _above(sys._getframe(1).f_back))


def _above(frame: FrameType | None) -> set[FrameType]:
    above: set[FrameType] = set()
    while frame is not None:
        above.add(frame)
        frame = frame.f_back
    return above


def _clear(error: BaseException, above: set[FrameType]) -> None:
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
            leave(error)
            del args, kwargs  # this frame still runs
            raise

    return wrapper


@cleared
def _boundary() -> None:
    """Shows the code of the frame that each public method has."""


_BOUNDARY = _boundary.__code__
