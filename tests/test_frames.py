"""What ``clear`` clears, and what it leaves as it was."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from airflow_provider_atlas.frames import clear, cleared


def variables(error: BaseException) -> dict[str, object]:
    """The variables of all frames beneath this test, of the error and what led to it."""
    found: dict[str, object] = {}
    for item in (error, error.__cause__, error.__context__):
        for frame, _ in traceback.walk_tb(item.__traceback__ if item else None):
            if frame.f_code.co_name.startswith(("beneath", "wrapper")):
                found |= frame.f_locals
    return found


def beneath(planted: str) -> None:
    raise ValueError(len(planted))


@cleared
def beneath_with_context(planted: str) -> None:
    try:
        beneath(planted)
    except ValueError:
        copied = planted.upper()
        raise KeyError(len(copied)) from None


def test_an_error_and_its_context_have_no_variables_and_all_lines():
    with pytest.raises(KeyError) as caught:
        beneath_with_context("secret")
    assert set(variables(caught.value)) == {"function"}
    text = "".join(traceback.format_exception(caught.value))
    assert "raise KeyError(len(copied)) from None" in text
    context = "".join(traceback.format_exception(caught.value.__context__))
    assert "raise ValueError(len(planted))" in context


def test_without_it_the_variables_are_there():
    with pytest.raises(KeyError) as caught:
        beneath_with_context.__wrapped__("secret")
    assert {"planted", "copied"} <= set(variables(caught.value))


def test_variables_that_were_looked_at_before_are_cleared_as_well():
    def beneath_and_seen(planted: str) -> None:
        assert sys._getframe().f_locals["planted"] == "secret"
        beneath(planted)

    with pytest.raises(ValueError) as caught:
        cleared(beneath_and_seen)("secret")
    assert set(variables(caught.value)) == {"function"}


def test_an_error_that_the_user_was_handling_keeps_its_variables():
    def beneath_user(planted: str) -> None:
        raise RuntimeError(len(planted))

    try:
        beneath_user("the user's")
    except RuntimeError as handled:
        with pytest.raises(KeyError) as caught:
            beneath_with_context("secret")
        assert variables(handled)["planted"] == "the user's"
        assert caught.value.__context__.__context__ is handled
    assert set(variables(caught.value)) <= {"function"}


def test_a_suspended_generator_of_the_user_goes_on():
    def errors() -> Iterator[Exception]:
        try:
            beneath("the user's")
        except ValueError as error:
            yield error
        yield KeyError("second")

    generator = errors()
    try:
        raise next(generator)
    except ValueError:
        with pytest.raises(KeyError):
            beneath_with_context("secret")
    assert isinstance(next(generator), KeyError)


def test_a_context_manager_of_the_user_around_the_call_goes_on():
    steps = []

    @contextmanager
    def managed() -> Iterator[None]:
        kept = "the user's"
        try:
            yield
        except KeyError:
            steps.append(kept)
            with pytest.raises(KeyError):
                beneath_with_context("secret")
            steps.append(kept)
            raise

    with pytest.raises(KeyError), managed():
        beneath_with_context("secret")
    assert steps == ["the user's"] * 2


def test_a_frame_that_runs_keeps_its_variables():
    kept = "still in use"
    try:
        beneath("secret")
    except ValueError as error:
        clear(error)
        assert variables(error) == {}
    assert kept == "still in use"


def test_an_error_that_leads_to_itself_ends():
    error, other = ValueError(), KeyError()
    error.__cause__, other.__cause__ = other, error
    clear(error)


@pytest.mark.parametrize("style", ["long", "short", "native"])
def test_pytest_shows_the_traceback_with_the_variables_that_are_left(style):
    with pytest.raises(KeyError) as caught:
        beneath_with_context("secret")
    text = str(caught.getrepr(showlocals=True, funcargs=True, style=style))
    assert "KeyError" in text
    assert "planted = " not in text


def test_a_decorated_function_returns_what_it_returns_and_keeps_its_name():
    assert cleared(len)("four") == 4
    assert cleared(beneath).__name__ == "beneath"
