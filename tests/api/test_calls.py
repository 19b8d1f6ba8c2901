"""`run` and `paginate`: decoded bodies, errors for refusals, all pages in constant memory."""

from __future__ import annotations

import json
import tracemalloc

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

GROUPS = "/api/atlas/v2/groups"


@pytest.fixture
def hook(atlas_sandbox):
    return AtlasServiceAccountHook(max_wait=0)


def page(results, following=None):
    links = [{"rel": "self", "href": "x"}, *([{"rel": "next", "href": following}] if following else [])]
    return json.dumps({"results": results, "links": links})


def test_run_returns_the_decoded_body(hook):
    assert hook.run(GROUPS, params={"itemsPerPage": 2})["totalCount"] == 3


def test_run_returns_none_for_an_empty_body(hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", status=204)
    assert hook.run(GROUPS, "DELETE") is None


@pytest.mark.parametrize(
    ("call", "status", "code"),
    [
        ({"endpoint": GROUPS + "/000000000000000000000000"}, 404, "GROUP_NOT_FOUND"),
        ({"endpoint": GROUPS, "api_version": "2999-01-01"}, 406, None),
        ({"endpoint": GROUPS, "api_version": "2020-01-01"}, 410, None),
    ],
)
def test_a_refusal_raises_an_error_with_status_and_code(hook, call, status, code):
    with pytest.raises(exceptions.AtlasApiError) as caught:
        hook.run(**call)
    assert caught.value.status == status
    if code:
        assert caught.value.error_code == code


def test_an_error_names_the_invalid_fields(hook):
    with pytest.raises(exceptions.AtlasApiError, match="Correct itemsPerPage: "):
        hook.run(GROUPS, params={"itemsPerPage": 501})


@pytest.mark.parametrize("version", ["v2", "latest", ""])
def test_a_version_that_is_not_a_date_is_refused_before_the_request(hook, atlas_sandbox, version):
    with pytest.raises(exceptions.InvalidCall, match="api_version"):
        hook.run(GROUPS, api_version=version)
    assert atlas_sandbox.counters.api_requests == 0


@pytest.mark.parametrize("status", [200, 400, 401, 403, 404, 429, 500, 502, 503])
@pytest.mark.parametrize("body", [b"<html>", b"{", b"\xff\xfe", b"[" * 100_000])
def test_any_body_that_is_not_json_raises_a_typed_error(hook, atlas_sandbox, status, body, says_nothing):
    for _ in range(3):
        atlas_sandbox.fail_next("api", status=status, body=body)
    with pytest.raises(exceptions.AtlasApiError) as caught:
        hook.run(GROUPS)
    assert caught.value.status == status
    says_nothing(caught.value, *atlas_sandbox.issued, atlas_sandbox.client_secret)


def test_a_token_that_the_server_echoes_is_scrubbed(hook, atlas_sandbox, says_nothing):
    token = hook.get_token().value
    atlas_sandbox.fail_next("api", status=400, body=json.dumps({"detail": f"no {token}", "parameters": [token]}))
    with pytest.raises(exceptions.AtlasApiError, match=r"no \*\*\*") as caught:
        hook.run(GROUPS)
    says_nothing(caught.value, token)


@pytest.mark.parametrize(("fault", "message"), [({"kind": "drop"}, "connection to Atlas failed")])
def test_a_call_without_a_response_raises_atlas_unreachable(hook, atlas_sandbox, fault, message, says_nothing):
    hook.get_token()
    atlas_sandbox.fail_next("api", **fault)
    with pytest.raises(exceptions.AtlasUnreachable, match=message) as caught:
        hook.run(GROUPS)
    says_nothing(caught.value, *atlas_sandbox.issued)


def test_all_pages_are_read_in_order(hook, atlas_sandbox):
    atlas_sandbox.page_total = 1201
    ids = [group["id"] for group in hook.paginate(GROUPS)]
    assert len(ids) == len(set(ids)) == 1201
    assert atlas_sandbox.counters.api_requests == 3
    assert [group["id"] for group in hook.paginate(GROUPS, params={"itemsPerPage": 400})] == ids
    assert atlas_sandbox.counters.api_requests == 3 + 4


def test_paginate_requests_only_the_pages_that_are_used(hook, atlas_sandbox):
    atlas_sandbox.page_total = 5000
    next(hook.paginate(GROUPS))
    assert atlas_sandbox.counters.api_requests == 1


def test_memory_does_not_grow_with_the_number_of_pages(hook, atlas_sandbox):
    atlas_sandbox.page_total = 4_000
    results = hook.paginate(GROUPS, params={"itemsPerPage": 50})
    for _ in range(300):
        next(results)
    tracemalloc.start()
    try:
        for _ in range(300):
            next(results)
        early, _ = tracemalloc.get_traced_memory()
        for _ in results:
            pass
        late, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert late - early < 500_000


@pytest.mark.parametrize("cycle", [1, 2, 3, 7])
def test_pages_that_link_in_a_cycle_raise_an_error(hook, atlas_sandbox, cycle):
    for number in range(1, 40):
        atlas_sandbox.fail_next(
            "api", status=200, body=page([number], f"{atlas_sandbox.url}/api/atlas/{number % cycle}")
        )
    with pytest.raises(exceptions.AtlasApiError, match="lead back"):
        list(hook.paginate(GROUPS))
    assert atlas_sandbox.counters.api_requests <= 4 * cycle


@pytest.mark.parametrize(
    "href", ["https://evil.example/next", "//evil.example/next", "http://127.0.0.1:1/next", "/api/../next"]
)
def test_an_invalid_next_link_is_refused_after_the_results_of_its_page(hook, atlas_sandbox, href, says_nothing):
    atlas_sandbox.fail_next("api", status=200, body=page([1, 2], href))
    results = hook.paginate(GROUPS)
    assert [next(results), next(results)] == [1, 2]
    with pytest.raises(exceptions.InvalidCall) as caught:
        next(results)
    says_nothing(caught.value, *atlas_sandbox.issued)


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        "{}",
        '{"results": {}}',
        '{"results": [], "links": [{"rel": "next"}]}',
        '{"results": [], "links": [{"rel": "next", "href": 7}]}',
    ],
)
def test_a_body_that_is_not_a_page_raises_an_error(hook, atlas_sandbox, body):
    atlas_sandbox.fail_next("api", status=200, body=body)
    with pytest.raises(exceptions.AtlasApiError):
        list(hook.paginate(GROUPS))


@pytest.mark.parametrize("links", [None, "x", [], [None, "x"], [{"rel": "self"}]])
def test_paginate_ends_at_a_page_without_a_next_link(hook, atlas_sandbox, links):
    atlas_sandbox.fail_next("api", status=200, body=json.dumps({"results": [1], "links": links}))
    assert list(hook.paginate(GROUPS)) == [1]
