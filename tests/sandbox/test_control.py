"""The sandbox's own pages: what happened, and faults for those in another process."""

from __future__ import annotations

from dataclasses import asdict

import pytest
import requests


def post(sandbox, path, body=None):
    return requests.post(f"{sandbox.url}/_sandbox/{path}", data=body, timeout=10)


def test_the_counters_are_the_same_in_and_out_of_process(sandbox, generate):
    generate()
    counters = requests.get(f"{sandbox.url}/_sandbox/counters", timeout=10).json()
    assert counters == asdict(sandbox.counters)
    assert (counters["issued"], counters["active"]) == (1, 1)


def test_a_reset_starts_the_counting_again(sandbox, generate):
    generate()
    assert post(sandbox, "reset").status_code == 204
    assert (sandbox.counters.token_requests, sandbox.counters.active, len(sandbox.issued)) == (0, 1, 1)


def test_the_page_shows_every_counter_and_no_token(sandbox, generate):
    token = generate().json()["access_token"]
    page = requests.get(sandbox.url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text.count("<tr>") == len(asdict(sandbox.counters))
    assert "<tr><th>token requests<td>1\n" in page.text
    for part in ('http-equiv="refresh"', "color-scheme: light dark", "10 requests every 60 s", "100 active tokens"):
        assert part in page.text
    assert not any(secret in page.text for secret in (token, sandbox.client_secret))


def test_a_fault_can_be_ordered_over_http(sandbox, generate):
    order = '{"endpoint": "token", "times": 2, "status": 418, "body": "tea", "headers": {"X-Pot": 1}}'
    assert post(sandbox, "faults", order).status_code == 204
    answers = [generate() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [418, 418, 200]
    assert (answers[0].text, answers[0].headers["X-Pot"]) == ("tea", "1")


def test_a_fault_needs_no_more_than_its_endpoint(sandbox, generate):
    assert post(sandbox, "faults", '{"endpoint": "token"}').status_code == 204
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
    ],
)
def test_an_order_that_makes_no_sense_is_refused_and_changes_nothing(sandbox, generate, order):
    refused = post(sandbox, "faults", order)
    assert (refused.status_code, refused.json()["detail"].startswith("not a fault: ")) == (400, True)
    assert generate().status_code == 200
