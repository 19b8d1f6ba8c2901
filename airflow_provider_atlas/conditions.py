"""Conditions on a response of Atlas as data: a trigger's arguments are stored, and a function cannot be.

``{"stateName": "IDLE", "paused": True}`` holds if each field has its value. Dots lead into objects and, with a number,
into lists; a list names alternatives; ``None`` also stands for a field that is missing. ``{"$exists": True}`` in place
of a value asks only whether the field is there and not ``None``, as in MongoDB's queries. A list of conditions holds if
one of them does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from airflow_provider_atlas.exceptions import InvalidCall

Condition = Mapping[str, Any] | Sequence[Mapping[str, Any]]

#: A response with 404 is seen as an object with this field, ``False``: ``{"$found": False}`` waits for a deletion.
FOUND = "$found"
EXISTS = "$exists"
_PAIRS = "$pairs"
#: Values of these fields leave neither the process of a task nor that of a triggerer.
PRIVATE = frozenset({"deliveryUrl", "secret", "password", "privateKey", "accessToken", "access_token", "token"})

_SCALARS = (str, int, float, bool, type(None))


def check(name: str, condition: object) -> None:
    """
    Check a condition when the DAG is parsed.

    :param name: the argument's name.
    :raises ValueError: if it is not a condition.
    """
    if isinstance(condition, list | tuple) and condition and all(isinstance(each, Mapping) for each in condition):
        for number, each in enumerate(condition):
            check(f"{name}[{number}]", each)
        return
    if not isinstance(condition, Mapping) or not condition:
        raise ValueError(f'{name} must be a mapping such as {{"stateName": "IDLE"}}')
    for field, value in condition.items():
        if not isinstance(field, str) or not field or "" in field.split("."):
            raise ValueError(f"{name} must have names of fields as keys, with dots for nesting, not {field!r}")
        exists = isinstance(value, Mapping) and list(value) == [EXISTS] and isinstance(value[EXISTS], bool)
        alternatives = value if isinstance(value, list | tuple) and value else [value]
        if not exists and not all(isinstance(each, _SCALARS) for each in alternatives):
            raise ValueError(
                f'{name}[{field!r}] must be a text, a number, a boolean, None, a list of these, or {{"$exists": True}}'
            )


def check_given(**conditions: object) -> list[str]:
    """
    Check an operator's conditions when the DAG is parsed, except those that come from another task.

    :return: their names, for :func:`check_rendered`.
    :raises ValueError: if one is not a condition.
    """
    for name, condition in conditions.items():
        if not getattr(condition, "operator", None):
            check(name, condition)
    return list(conditions)


def check_rendered(operator: object, names: Sequence[str]) -> None:
    """
    Check an operator's conditions once its templates have their values.

    :raises InvalidCall: if one is not a condition.
    """
    for name in names:
        condition = getattr(operator, name)
        try:
            check(name, condition)
        except ValueError as error:
            raise InvalidCall(f"{error}. After templates were rendered it is {type(condition).__name__}") from None


def holds(condition: Condition, body: Any) -> bool:
    """Whether every field of the condition has its value. A condition without fields holds."""
    if isinstance(condition, Mapping):
        return all(_matches(value, get(body, field)) for field, value in condition.items())
    return any(holds(each, body) for each in condition)


def fields(condition: Condition) -> list[str]:
    """The fields that a condition names."""
    if isinstance(condition, Mapping):
        return list(condition)
    return [field for each in condition for field in each]


def unmet(condition: Condition, body: Any) -> list[str]:
    """The fields that do not have their values, each with both in words. Empty for alternative conditions."""
    if not isinstance(condition, Mapping):
        return []
    return [
        f"{field} is {_held(field, get(body, field))}, wanted {_wanted(field, wanted)}"
        for field, wanted in condition.items()
        if not _matches(wanted, get(body, field))
    ]


def is_private(field: str) -> bool:
    """Whether what a field holds must not be stored."""
    return not PRIVATE.isdisjoint(field.split("."))


def _held(field: str, value: Any) -> str:
    return "missing" if value is None else "***" if is_private(field) else repr(value)


def _wanted(field: str, wanted: Any) -> str:
    if is_private(field):
        return "***"
    if isinstance(wanted, Mapping):
        return ("any value" if wanted[EXISTS] else "none") if EXISTS in wanted else repr(wanted[_PAIRS])
    return " or ".join(map(repr, wanted)) if isinstance(wanted, list | tuple) else repr(wanted)


def _matches(wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        if _PAIRS in wanted:
            return _sorted(wanted[_PAIRS]) == _sorted(value)
        return (value is not None) is wanted[EXISTS]
    if isinstance(wanted, list | tuple):
        return any(_matches(each, value) for each in wanted)
    # 1 and 1.0 are the same for Atlas; True and 1 are not.
    return bool(wanted == value) and isinstance(wanted, bool) is isinstance(value, bool)


def _sorted(pairs: Any) -> list[tuple[str, str]]:
    return sorted((str(get(pair, "key")), str(get(pair, "value"))) for pair in pairs or ())


def get(body: Any, field: str) -> Any:
    """The value of a field, ``None`` if there is none. Whatever is not a 404 has ``$found``."""
    if field == FOUND:
        return body != {FOUND: False}
    for name in field.split("."):
        if isinstance(body, Mapping):
            body = body.get(name)
        elif isinstance(body, list) and name.isdecimal() and int(name) < len(body):
            body = body[int(name)]
        else:
            return None
    return body


def leaves(body: Any, *, whole: bool = False) -> dict[str, Any]:
    """
    The condition that a response has what a request's body asked for.

    :param whole: whether lists must have nothing else, lists of pairs such as tags included (in any order), and whether
        what is null must be missing. Atlas adds some things of its own: what differs need not be a change that failed.
    """
    return {
        field: value
        for field, value in _leaves(body, "")
        if whole or (value is not None and not isinstance(value, Mapping))
    }


def _leaves(body: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    if isinstance(body, Mapping):
        for name, value in body.items():
            yield from _leaves(value, f"{prefix}.{name}" if prefix else str(name))
    elif isinstance(body, list | tuple):
        if all(isinstance(item, Mapping) and "key" in item for item in body):
            yield prefix, {_PAIRS: list(body)}
        else:
            for number, value in enumerate(body):
                yield from _leaves(value, f"{prefix}.{number}")
            yield f"{prefix}.{len(body)}", {EXISTS: False}
    else:
        yield prefix, body


def public(body: Any) -> Any:
    """A response without what must not be stored, such as a download link: whoever has it has the data."""
    if isinstance(body, Mapping):
        return {name: "***" if name in PRIVATE and value else public(value) for name, value in body.items()}
    return [public(item) for item in body] if isinstance(body, list) else body


def pick(body: Any, returns: str | Sequence[str] | None) -> Any:
    """The named fields of a response, the value of one, or all of it; see :func:`public`."""
    body = public(body)
    if isinstance(returns, str):
        return get(body, returns)
    return body if returns is None else {name: get(body, name) for name in returns}
