"""The scoreboard: every operation and every list of Atlas's own description of its API, through the hook."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.openapi.document import VARIABLE, Document, Operation, document
from tests.openapi.stub import CSV, FILE, Stub, serving

pytestmark = pytest.mark.skipif(document() is None, reason=f"needs Atlas's OpenAPI document: set {VARIABLE}")

_FORM = re.compile(r"application/vnd\.atlas\.([^+]+)\+(\w+)")


@pytest.fixture(scope="module")
def described() -> Document:
    found = document()
    assert found is not None
    return found


@pytest.fixture(scope="module")
def stub(described: Document) -> Stub:
    return Stub(described)


@pytest.fixture
def hook(stub: Stub, monkeypatch: pytest.MonkeyPatch) -> Iterator[AtlasServiceAccountHook]:
    with serving(stub) as url:
        account = {"login": "mdb_sa_id_" + "0" * 24, "password": "mdb_sa_sk_x", "extra": {"max_wait": 0}}
        conn = {"conn_type": "mongodbatlas", "host": url, **account}
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(conn))
        made = AtlasServiceAccountHook()
        yield made
        made.get_conn().close()


def arguments(described: Document, operation: Operation, media: str) -> dict[str, Any]:
    """What a user gives for an operation: every parameter, and a body if it has one."""
    names = {name: described.sample(each["schema"]) for name, each in described.parameters(operation, "path").items()}
    params = {
        name: described.sample(each["schema"])
        for name, each in described.parameters(operation, "query").items()
        if name not in ("envelope", "pretty")
    }
    made: dict[str, Any] = {"path": names, "params": params}
    bodies = described.body(operation)
    if bodies:
        made["json"] = described.sample(next(iter(bodies.values())), writing=True)
    found = _FORM.fullmatch(media or next(iter(bodies), ""))
    if found is not None:
        made["api_version"], made["accept"] = found[1], found[2] if media else "json"
    return made


def responses(described: Document, operation: Operation) -> Iterator[tuple[str, Any]]:
    """Each form in which the documented success comes."""
    _, forms = described.success(operation)
    for media, schema in forms.items() or [("", None)]:
        if not schema:
            yield media, None
        elif "csv" in media:
            yield media, CSV
        elif "gzip" in media:
            yield media, FILE
        else:
            yield media, described.sample(schema)


def lists(described: Document, operation: Operation) -> tuple[list[str | None], bool]:
    """The lists in a response by name, ``None`` for one that needs no name; whether the response is that list."""
    forms = described.success(operation)[1]
    schema = next((described.resolve(each) for media, each in forms.items() if "json" in media), {})
    if schema.get("type") == "array":
        return [None], True
    fields = {name: described.resolve(each) for name, each in schema.get("properties", {}).items()}
    found = [name for name, each in fields.items() if each.get("type") == "array" and name != "links"]
    if "results" in found:
        return [None], True
    return found, False


def test_every_operation_is_asked_for_as_described_and_its_success_comes_back_decoded(hook, stub, described):
    done, failed = 0, {}
    for operation in described.operations():
        for media, sample in responses(described, operation):
            stub.expect(operation, media, sample)
            try:
                result = hook.run(operation.path, operation.method.upper(), **arguments(described, operation, media))
            except Exception as error:  # noqa: BLE001 - listed
                failed[str(operation)] = f"{error} {stub.faults}"
                break
            if result != sample:
                failed[str(operation)] = f"{result!r:.200} instead of {sample!r:.200}"
                break
        else:
            done += 1
    print(*(f"{name}: {why}" for name, why in failed.items()), sep="\n")
    print(f"operations: {done} of {done + len(failed)}")
    assert failed == {}
    assert done == 540


def test_every_list_is_read(hook, stub, described):
    failed, counted = {}, {"lists": 0, "responses with lists under other names": 0}
    for operation in described.operations():
        names, is_list = lists(described, operation) if operation.method == "get" else ([], False)
        if not names:
            continue
        media, sample = next(each for each in responses(described, operation) if "json" in each[0])
        given = arguments(described, operation, media)
        given = {key: given[key] for key in ("path", "json", "api_version") if key in given}
        query = described.parameters(operation, "query")
        given["params"] = {
            name: described.sample(each["schema"]) for name, each in query.items() if each.get("required")
        }
        counted["lists" if is_list else "responses with lists under other names"] += 1
        for name in names:
            stub.expect(operation, media, sample)
            if is_list:
                expected = sample if isinstance(sample, list) else sample["results"]
            else:
                expected = sample.setdefault(name, [1])
            try:
                read = list(hook.paginate(operation.path, items=name, **given))
            except AtlasApiError as error:
                read = str(error)
            if read != expected:
                failed[f"{operation} {name}"] = f"{read!r:.200}"
    print(*(f"{name}: {why}" for name, why in failed.items()), sep="\n")
    print(f"{counted}, failed: {len(failed)}")
    assert failed == {}
    assert counted["lists"] == 106
