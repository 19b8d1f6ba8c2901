"""Over HTTP: methods and paths, addresses that cannot be forged, counters, and faults as a client meets them."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import pytest
import requests

from airflow_provider_atlas.sandbox.call import Call


def test_a_token_is_generated_used_and_revoked(sandbox, generate, read):
    token = generate().json()["access_token"]
    first = read(token)
    account = (sandbox.client_id, sandbox.client_secret)
    revoked = requests.post(f"{sandbox.url}/api/oauth/revoke", auth=account, data={"token": token}, timeout=10)
    assert (first.status_code, revoked.status_code, revoked.content, read(token).status_code) == (200, 200, b"", 401)
    counters = sandbox.counters
    assert (counters.token_requests, counters.issued, counters.revoke_requests, counters.revoked) == (1, 1, 1, 1)
    assert (counters.api_requests, counters.api_unauthorized, counters.active) == (2, 1, 0)


def test_pretty_and_envelope_are_read_from_the_query(generate):
    response = generate(params={"pretty": "true", "envelope": "true"}, data={})
    assert (response.status_code, response.json()["status"]) == (200, 400)
    assert b"\n  " in response.content


@pytest.mark.parametrize("path", ["/api/oauth/token", "/api/oauth/revoke"])
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_the_token_endpoints_know_only_post(sandbox, path, method):
    response = requests.request(method, sandbox.url + path, timeout=10)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/api/oauth/token/", "/api/oauth", "/api", "/api/oauth/introspect"])
def test_a_path_that_is_almost_right_is_not_found(sandbox, path):
    assert requests.post(sandbox.url + path, allow_redirects=False, timeout=10).status_code == 404


def test_the_administration_api_is_read_only(sandbox):
    assert requests.post(f"{sandbox.url}/api/atlas/v2/groups", timeout=10).status_code == 405


def test_next_links_lead_through_all_pages_at_the_address_the_client_uses(sandbox, generate, read):
    sandbox.page_total, names = 5, []
    token = generate().json()["access_token"]
    page = read(token, itemsPerPage=2)
    while True:
        names += [project["name"] for project in page.json()["results"]]
        links = {link["rel"]: link["href"] for link in page.json()["links"]}
        if "next" not in links:
            break
        assert links["next"].startswith(f"{sandbox.url}/")
        page = requests.get(links["next"], headers=page.request.headers, timeout=10)
    assert names == [f"project-{index}" for index in range(5)]


def test_a_client_cannot_say_where_it_comes_from(sandbox, generate):
    sandbox.rate_limit = 1
    headers = [{"X-Forwarded-For": f"10.0.0.{number}"} for number in range(3)]
    assert [generate(headers=each).status_code for each in headers] == [200, 429, 429]


def test_the_date_header_is_the_clock_that_retry_after_is_measured_on(sandbox, generate):
    sandbox.rate_limit, sandbox.retry_after = 0, "date"
    headers = generate().headers
    assert (headers["Date"], headers["Retry-After"]) == (
        "Fri, 15 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 2027 08:01:00 GMT",
    )


def test_a_faulty_answer_is_sent_as_it_was_ordered_and_then_all_is_well(sandbox, generate):
    sandbox.fail_next("token", 2, status=502, body=b"<html>\xff", headers={"Content-Type": "text/html", "X-Proxy": "1"})
    answers = [generate() for _ in range(3)]
    assert [answer.status_code for answer in answers] == [502, 502, 200]
    assert (answers[0].content, answers[0].headers["X-Proxy"]) == (b"<html>\xff", "1")
    assert (sandbox.counters.faults, sandbox.counters.issued, sandbox.counters.token_requests) == (2, 1, 3)


def test_a_fault_without_a_status_is_atlas_s_own(sandbox, generate):
    sandbox.fail_next("token")
    answer = generate()
    assert (answer.status_code, answer.json()) == (
        500,
        {"error_description": "Unexpected error.", "error": "server_error"},
    )


def test_a_body_may_be_text_and_a_redirect_leads_where_it_says(sandbox, generate):
    sandbox.fail_next("token", status=302, body="gone", headers={"Location": "http://127.0.0.1:1/"})
    answer = generate(allow_redirects=False)
    assert (answer.status_code, answer.text, answer.headers["Location"]) == (302, "gone", "http://127.0.0.1:1/")


def test_a_length_that_promises_more_than_the_body_breaks_the_answer_off(sandbox, generate):
    sandbox.fail_next("token", status=200, body=b'{"acc', headers={"Content-Length": "100"})
    with pytest.raises(requests.exceptions.ChunkedEncodingError):
        generate()


def test_faults_meet_only_their_own_endpoint(sandbox, generate, read):
    sandbox.fail_next("api", status=503)
    token = generate().json()["access_token"]
    assert [read(token).status_code for _ in range(2)] == [503, 200]


def test_faults_meet_requests_whatever_their_method(sandbox):
    sandbox.fail_next("api", status=503)
    asked = [requests.patch(f"{sandbox.url}/api/atlas/v2/groups", timeout=10) for _ in range(2)]
    assert [(answer.status_code, answer.headers.get("Allow")) for answer in asked] == [(503, None), (405, "GET")]


def test_a_dropped_connection_gets_no_answer_and_no_token(sandbox, generate):
    sandbox.fail_next("token", kind="drop")
    with pytest.raises(requests.exceptions.ConnectionError):
        generate()
    assert (sandbox.issued, generate().status_code) == ((), 200)


def test_a_client_that_hangs_up_in_a_silence_has_changed_nothing(sandbox, generate):
    sandbox.fail_next("token", kind="silence")
    with pytest.raises(requests.exceptions.ReadTimeout):
        generate(timeout=0.2)
    assert (sandbox.issued, generate().status_code) == ((), 200)


def test_a_silence_of_some_seconds_ends_in_the_real_answer(sandbox, generate):
    sandbox.fail_next("token", kind="silence", seconds=0.05)
    assert (generate().status_code, sandbox.counters.faults) == (200, 1)


def test_a_silence_ends_without_an_answer_when_the_sandbox_stops(sandbox, generate):
    sandbox.fail_next("token", kind="silence")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(generate)
        while sandbox.counters.faults == 0:
            with suppress(TimeoutError):
                waiting.exception(timeout=0.01)
        sandbox.stop()
        assert isinstance(waiting.exception(timeout=10), requests.exceptions.ConnectionError)


def test_a_secret_that_is_deleted_in_the_middle_of_a_request_leaves_no_live_token(sandbox, generate, monkeypatch):
    deletion = threading.Thread(target=sandbox.delete_secret, args=[sandbox.client_secret])
    read_form = Call.form

    def delete_before_reading(call):
        deletion.start()
        deletion.join(0.1)
        return read_form(call)

    monkeypatch.setattr(Call, "form", delete_before_reading)
    token = generate().json()["access_token"]
    deletion.join(10)
    assert not sandbox.is_active(token)


def test_many_clients_at_once_are_counted_one_by_one(sandbox, generate):
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: generate().status_code, range(64)))
    assert (statuses.count(200), statuses.count(429)) == (10, 54)
    assert (sandbox.counters.token_requests, sandbox.counters.rate_limited, len(sandbox.issued)) == (64, 54, 10)
