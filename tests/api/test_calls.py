"""`run` and `paginate`: decoded bodies, errors for refusals, all pages in constant memory."""

from __future__ import annotations

import json
import socket
import threading
import tracemalloc

import pytest
import requests

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

GROUPS = "/api/atlas/v2/groups"


@pytest.fixture
def hook(atlas_sandbox):
    return AtlasServiceAccountHook(max_wait=0)


@pytest.fixture
def sent(hook, mocker):
    """Path and query of each request to the Administration API."""
    seen = []
    real = requests.adapters.HTTPAdapter.send

    def send(adapter, request, **options):
        if not request.path_url.startswith("/api/oauth"):
            seen.append(request.path_url)
        return real(adapter, request, **options)

    mocker.patch("requests.adapters.HTTPAdapter.send", send)
    return seen


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


@pytest.mark.parametrize("version", ["v2", "latest", "", "previews"])
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
        "7",
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


def test_a_bare_array_is_a_list(hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", status=200, body="[1, 2]")
    assert list(hook.paginate(GROUPS)) == [1, 2]


def test_a_list_under_another_name_is_read_by_its_name(hook, atlas_sandbox, sent):
    atlas_sandbox.fail_next("api", times=2, status=200, body=json.dumps({"summaries": [1], "others": [2]}))
    assert list(hook.paginate(GROUPS, items="summaries")) == [1]
    assert list(hook.paginate(GROUPS, items="others", params={"duration": 5})) == [2]
    assert sent == [GROUPS, f"{GROUPS}?duration=5"]


@pytest.mark.parametrize(("items", "message"), [(None, "a list of results"), ("x", "a list of x"), ("links", "links")])
def test_a_response_that_is_not_the_list_names_the_lists_that_it_has(hook, atlas_sandbox, items, message):
    body = {"summaries": [1], "others": [2], "links": "none", "y" * 200 + "\n": []}
    atlas_sandbox.fail_next("api", status=200, body=json.dumps(body))
    with pytest.raises(exceptions.AtlasApiError, match=f"{message}.*items: summaries, others, yyy") as caught:
        list(hook.paginate(GROUPS, items=items))
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize("size", [2, "2"])
def test_a_list_without_links_goes_on_by_number_if_its_page_size_is_given(hook, atlas_sandbox, sent, size):
    for page in ([1, 2], [3, 4], [5]):
        atlas_sandbox.fail_next("api", status=200, body=json.dumps({"suggestedIndexes": page}))
    params = {"itemsPerPage": size}
    assert list(hook.paginate(GROUPS, items="suggestedIndexes", params=params)) == [1, 2, 3, 4, 5]
    assert [path.partition("?")[2] for path in sent] == [
        "itemsPerPage=2",
        "itemsPerPage=2&pageNum=2",
        "itemsPerPage=2&pageNum=3",
    ]


def test_a_list_that_repeats_its_page_ends_in_an_error(hook, atlas_sandbox):
    atlas_sandbox.fail_next("api", times=9, status=200, body=json.dumps({"suggestedIndexes": [1, 2]}))
    read = hook.paginate(GROUPS, items="suggestedIndexes", params={"itemsPerPage": 2})
    assert [next(read), next(read)] == [1, 2]
    with pytest.raises(exceptions.AtlasApiError, match="lead back"):
        next(read)


def test_a_page_size_in_the_endpoint_is_the_only_one(hook, sent):
    assert len(list(hook.paginate(f"{GROUPS}?itemsPerPage=2"))) == 3
    assert sent[0] == f"{GROUPS}?itemsPerPage=2"


def test_a_list_that_does_not_take_a_page_size_is_read_without(hook, atlas_sandbox, sent):
    refusal = {"errorCode": "INVALID_QUERY_PARAMETER", "parameters": ["itemsPerPage"]}
    atlas_sandbox.fail_next("api", status=400, body=json.dumps(refusal))
    atlas_sandbox.fail_next("api", status=200, body="[1]")
    assert list(hook.paginate(GROUPS)) == [1]
    assert sent == [f"{GROUPS}?itemsPerPage=500", GROUPS]


def test_a_page_size_that_the_caller_gave_is_not_dropped(hook, atlas_sandbox):
    refusal = {"errorCode": "INVALID_QUERY_PARAMETER", "parameters": ["itemsPerPage"]}
    atlas_sandbox.fail_next("api", status=400, body=json.dumps(refusal))
    with pytest.raises(exceptions.AtlasApiError, match="INVALID_QUERY_PARAMETER"):
        list(hook.paginate(GROUPS, params={"itemsPerPage": 5}))
    assert atlas_sandbox.counters.api_requests == 1


@pytest.mark.parametrize(
    ("kind", "body", "value"),
    [
        ("application/vnd.atlas.2025-03-12+json;charset=utf-8", b"[1]", [1]),
        ("", b"[1]", [1]),
        ("application/vnd.atlas.2025-03-12+csv", "a,b\r\n\u00e4,1\r\n".encode(), "a,b\r\n\u00e4,1\r\n"),
        ("text/csv; charset=utf-8", b"a", "a"),
        ("application/vnd.atlas.2025-03-12+gzip", b"\x1f\x8b\x00", b"\x1f\x8b\x00"),
        ("application/octet-stream", b"\xff", b"\xff"),
    ],
)
def test_a_body_is_decoded_by_what_came_back(hook, atlas_sandbox, kind, body, value):
    atlas_sandbox.fail_next("api", status=200, body=body, headers={"Content-Type": kind} if kind else {})
    assert hook.run(GROUPS, accept="csv") == value


@pytest.mark.parametrize(
    ("kind", "form"), [("text/csv", "UTF-8"), ("application/json", "UTF-8"), ("text/html", "JSON")]
)
def test_an_error_says_what_a_body_is_not(hook, atlas_sandbox, kind, form):
    body = b"<html>" if form == "JSON" else b"\xff,\xfe"
    atlas_sandbox.fail_next("api", status=200, body=body, headers={"Content-Type": kind})
    with pytest.raises(exceptions.AtlasApiError, match=f"The response to POST {GROUPS} is not {form}"):
        hook.run(GROUPS, "POST")


@pytest.mark.parametrize("endpoint", [GROUPS, f"{GROUPS}?envelope=true"])
def test_an_envelope_is_unwrapped(hook, atlas_sandbox, endpoint):
    params = None if "?" in endpoint else {"envelope": True}
    assert len(hook.run(endpoint, params=params)["results"]) == 3
    group = hook.run(GROUPS)["results"][0]
    assert hook.run(f"{GROUPS}/{group['id']}", params={"envelope": True}) == group
    with pytest.raises(exceptions.AtlasApiError, match="HTTP 404") as caught:
        hook.run("/api/atlas/v2/nothing", params={"envelope": True})
    assert caught.value.status == 404


def test_a_body_that_only_looks_like_an_envelope_is_not_unwrapped(hook, atlas_sandbox):
    body = {"status": 404, "content": 1}
    atlas_sandbox.fail_next("api", status=200, body=json.dumps(body))
    assert hook.run(GROUPS) == body


@pytest.mark.parametrize("status", [202, 204])
def test_a_success_without_a_body_is_none(hook, atlas_sandbox, status):
    atlas_sandbox.fail_next("api", status=status)
    assert hook.run(GROUPS, "DELETE") is None


@pytest.mark.parametrize("closes", [True, False])
def test_a_report_that_is_not_ready_is_none(hook, monkeypatch, closes):
    """Atlas responds with 102, which other servers send before a response."""
    hook.get_token()
    with socket.create_server(("127.0.0.1", 0)) as server:

        def respond() -> None:
            for final in (False, True):
                connection = server.accept()[0]
                connection.recv(1 << 16)
                connection.sendall(b"HTTP/1.1 102 Processing\r\nDate: x\r\n\r\n")
                if final:
                    connection.sendall(b'HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n"x"')
                if final or closes:
                    connection.close()
                else:
                    held.append(connection)

        held = []
        thread = threading.Thread(target=respond)
        thread.start()
        conn = hook.get_conn()
        conn.base_url = f"http://127.0.0.1:{server.getsockname()[1]}"
        conn.mount(f"{conn.base_url}/", conn._adapter)
        conn._options["timeout"] = (0.5, 0.5)
        assert hook.run("/api/atlas/v2/report") is None
        assert hook.run("/api/atlas/v2/report") == "x"
        thread.join()
    for connection in held:
        connection.close()
