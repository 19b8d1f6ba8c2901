"""Faults on demand, as a client sees them, and refusals of faults that are not valid."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from airflow_provider_atlas.sandbox import Fault
from airflow_provider_atlas.sandbox.refusals import CODES


def test_queued_faults_are_used_in_their_order(sandbox, generate):
    sandbox.fail_next("token", 2, status=500)
    sandbox.fail_next("token", status=502)
    assert [generate().status_code for _ in range(4)] == [500, 500, 502, 200]


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"kind": "explode"}, "kind"),
        ({"status": 99}, "status"),
        ({"status": 600}, "status"),
        ({"seconds": -1}, "secon"),
        ({"error_code": "NOT_IN_THE_TABLE"}, "no status"),
        ({"method": "get"}, "method"),
    ],
)
def test_fault_that_is_not_valid_is_refused(wrong, says):
    with pytest.raises(ValueError, match=says):
        Fault(**wrong)


@pytest.mark.parametrize(("endpoint", "times", "says"), [("tokens", 1, "endpoint"), ("token", 0, "times")])
def test_fault_for_an_unknown_endpoint_or_for_no_request_is_refused(state, endpoint, times, says):
    with pytest.raises(ValueError, match=says):
        state.fail_next(endpoint, times)


def order_fault(sandbox, order):
    return requests.post(f"{sandbox.url}/_sandbox/faults", data=order, timeout=10)


def test_faulty_response_is_sent_as_ordered_and_the_next_one_is_real(sandbox, generate):
    sandbox.fail_next("token", 2, status=502, body=b"<html>\xff", headers={"Content-Type": "text/html", "X-Proxy": "1"})
    responses = [generate() for _ in range(3)]
    assert [response.status_code for response in responses] == [502, 502, 200]
    assert (responses[0].content, responses[0].headers["X-Proxy"]) == (b"<html>\xff", "1")
    assert (sandbox.counters.faults, sandbox.counters.issued, sandbox.counters.token_requests) == (2, 1, 3)


def test_fault_without_a_status_is_the_500_that_atlas_documents(sandbox, generate):
    sandbox.fail_next("token")
    response = generate()
    assert (response.status_code, response.json()) == (
        500,
        {"error_description": "Unexpected error.", "error": "server_error"},
    )


def test_faulty_response_may_be_a_redirect_with_a_body_of_text(sandbox, generate):
    sandbox.fail_next("token", status=302, body="gone", headers={"Location": "http://127.0.0.1:1/"})
    response = generate(allow_redirects=False)
    assert (response.status_code, response.text, response.headers["Location"]) == (302, "gone", "http://127.0.0.1:1/")


def test_response_breaks_off_if_content_length_is_longer_than_the_body(sandbox, generate):
    sandbox.fail_next("token", status=200, body=b'{"acc', headers={"Content-Length": "100"})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        generate()


def test_request_to_another_endpoint_does_not_get_the_fault(sandbox, generate, read):
    sandbox.fail_next("api", status=503)
    token = generate().json()["access_token"]
    assert [read(token).status_code for _ in range(2)] == [503, 200]


def test_request_of_any_method_gets_the_fault(sandbox):
    sandbox.fail_next("api", status=503)
    responses = [requests.patch(f"{sandbox.url}/api/atlas/v2/groups", timeout=10) for _ in range(2)]
    assert [(response.status_code, response.headers.get("Allow")) for response in responses] == [
        (503, None),
        (405, "GET"),
    ]


def test_dropped_connection_gets_no_response_and_no_token(sandbox, generate):
    sandbox.fail_next("token", kind="drop")
    with pytest.raises(requests.exceptions.ConnectionError):
        generate()
    assert (sandbox.issued, generate().status_code) == ((), 200)


def test_request_changes_nothing_if_the_client_hangs_up_in_a_silence(sandbox, generate):
    sandbox.fail_next("token", kind="silence")
    with pytest.raises(requests.exceptions.ReadTimeout):
        generate(timeout=0.2)
    assert (sandbox.issued, generate().status_code) == ((), 200)


def test_silence_of_some_seconds_ends_with_the_real_response(sandbox, generate):
    sandbox.fail_next("token", kind="silence", seconds=0.05)
    assert (generate().status_code, sandbox.counters.faults) == (200, 1)


def test_silence_ends_without_a_response_when_the_sandbox_stops(sandbox, generate):
    sandbox.fail_next("token", kind="silence")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(generate)
        while sandbox.counters.faults == 0:
            with suppress(TimeoutError):
                waiting.exception(timeout=0.01)
        sandbox.stop()
        assert isinstance(waiting.exception(timeout=10), requests.exceptions.ConnectionError)


def test_fault_can_be_ordered_over_http(sandbox, generate):
    order = '{"endpoint": "token", "times": 2, "status": 418, "body": "tea", "headers": {"X-Pot": 1}}'
    assert order_fault(sandbox, order).status_code == 204
    responses = [generate() for _ in range(3)]
    assert [response.status_code for response in responses] == [418, 418, 200]
    assert (responses[0].text, responses[0].headers["X-Pot"]) == ("tea", "1")


def test_order_over_http_needs_only_an_endpoint(sandbox, generate):
    assert order_fault(sandbox, '{"endpoint": "token"}').status_code == 204
    assert [generate().status_code for _ in range(2)] == [500, 200]


@pytest.mark.parametrize(
    "order",
    [
        "",
        "{",
        b"\xff",
        "[]",
        "7",
        "{}",
        '{"endpoint": "nowhere"}',
        '{"endpoint": ["token"]}',
        '{"endpoint": "token", "times": "two"}',
        '{"endpoint": "token", "times": 0}',
        '{"endpoint": "token", "kind": "explode"}',
        '{"endpoint": "token", "status": "500"}',
        '{"endpoint": "token", "body": 7}',
        '{"endpoint": "token", "headers": "X"}',
        '{"endpoint": "token", "surprise": 1}',
        '{"endpoint": "token", "path": 7}',
        '{"endpoint": "api", "error_code": "NOT_IN_THE_TABLE"}',
    ],
)
def test_order_that_is_not_valid_is_refused_and_changes_nothing(sandbox, generate, order):
    refused = order_fault(sandbox, order)
    assert (refused.status_code, refused.json()["detail"].startswith("the fault is not valid: ")) == (400, True)
    assert generate().status_code == 200


@pytest.mark.parametrize("code", CODES)
def test_each_code_of_the_table_can_be_ordered_with_its_status(sandbox, generate, read, code):
    sandbox.refuse_next(code)
    token = generate().json()["access_token"]
    refused = read(token)
    assert (refused.status_code, refused.json()["errorCode"]) == (CODES[code][0], code)
    assert read(token).status_code == 200


def test_ordered_code_may_have_parameters_and_another_status(sandbox, generate, read):
    sandbox.refuse_next("CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER", parameters=[12])
    sandbox.fail_next("api", error_code="NEW_IN_ATLAS", status=409)
    token = generate().json()["access_token"]
    first, second = read(token), read(token)
    assert "12 minutes" in first.json()["detail"]
    assert (second.status_code, second.json()["errorCode"]) == (409, "NEW_IN_ATLAS")


def test_refusal_of_one_method_or_path_does_not_meet_the_others(sandbox, generate, read):
    sandbox.refuse_next("OUT_OF_CAPACITY", method="POST")
    sandbox.refuse_next("UNEXPECTED_ERROR", path="/clusters")
    token = generate().json()["access_token"]
    group = read(token).json()["results"][0]["id"]
    assert [read(token, f"/groups/{group}{end}").status_code for end in ("", "/clusters", "/clusters")] == [
        200,
        500,
        200,
    ]
    assert requests.post(f"{sandbox.url}/api/atlas/v2/groups", timeout=10).status_code == 409


def test_refusal_can_be_ordered_over_http(sandbox, generate, read):
    order = '{"endpoint": "api", "error_code": "NO_CAPACITY", "method": "GET", "parameters": ["US_EAST_1"]}'
    assert order_fault(sandbox, order).status_code == 204
    refused = read(generate().json()["access_token"])
    assert (refused.status_code, refused.json()["parameters"]) == (409, ["US_EAST_1"])


@pytest.mark.parametrize("instead", [{}, {"status": 503}, {"error_code": "UNEXPECTED_ERROR"}])
def test_response_is_lost_after_the_effect(sandbox, generate, instead):
    sandbox.fail_next("token", kind="lost", **instead)
    if instead:
        assert generate().status_code in (500, 503)
    else:
        with pytest.raises(requests.exceptions.ConnectionError):
            generate()
    assert (len(sandbox.issued), sandbox.counters.faults, generate().status_code) == (1, 1, 200)


def test_silence_after_the_effect(sandbox, generate):
    sandbox.fail_next("token", kind="lost", seconds=60)
    with pytest.raises(requests.exceptions.ReadTimeout):
        generate(timeout=0.5)
    sandbox.fail_next("token", kind="lost", seconds=0.05)
    assert (generate().status_code, len(sandbox.issued)) == (200, 2)
