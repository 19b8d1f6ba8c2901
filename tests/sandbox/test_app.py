"""Over HTTP: methods and paths, the client's address, requests at once, and the sandbox's own pages."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict

import pytest
import requests

from airflow_provider_atlas.sandbox.requests import AtlasRequest


def test_token_can_be_generated_used_and_revoked(sandbox, generate, read):
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
def test_token_endpoint_refuses_other_methods_than_post(sandbox, path, method):
    response = requests.request(method, sandbox.url + path, timeout=10)
    assert (response.status_code, response.headers["Allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/api/oauth/token/", "/api/oauth", "/api", "/api/oauth/introspect"])
def test_path_that_atlas_does_not_have_gets_a_404(sandbox, path):
    assert requests.post(sandbox.url + path, allow_redirects=False, timeout=10).status_code == 404


def test_post_to_the_administration_api_is_refused(sandbox):
    assert requests.post(f"{sandbox.url}/api/atlas/v2/groups", timeout=10).status_code == 405


def test_next_links_have_the_client_s_url_and_lead_through_all_pages(sandbox, generate, read):
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


def test_forwarded_header_does_not_change_the_client_s_address(sandbox, generate):
    sandbox.rate_limit = 1
    headers = [{"X-Forwarded-For": f"10.0.0.{number}"} for number in range(3)]
    assert [generate(headers=each).status_code for each in headers] == [200, 429, 429]


def test_date_header_and_retry_after_date_use_the_same_clock(sandbox, generate):
    sandbox.rate_limit, sandbox.retry_after = 0, "date"
    headers = generate().headers
    assert (headers["Date"], headers["Retry-After"]) == (
        "Fri, 15 Jan 2027 08:00:00 GMT",
        "Fri, 15 Jan 2027 08:01:00 GMT",
    )


def test_secret_deleted_during_a_request_leaves_no_active_token(sandbox, generate, monkeypatch):
    deletion = threading.Thread(target=sandbox.delete_secret, args=[sandbox.client_secret])
    read_form = AtlasRequest.form

    def delete_before_reading(request):
        deletion.start()
        deletion.join(0.1)
        return read_form(request)

    monkeypatch.setattr(AtlasRequest, "form", delete_before_reading)
    token = generate().json()["access_token"]
    deletion.join(10)
    assert not sandbox.is_active(token)


def test_each_of_many_requests_at_once_is_counted(sandbox, generate):
    with ThreadPoolExecutor(16) as pool:
        statuses = list(pool.map(lambda _: generate().status_code, range(64)))
    assert (statuses.count(200), statuses.count(429)) == (10, 54)
    assert (sandbox.counters.token_requests, sandbox.counters.rate_limited, len(sandbox.issued)) == (64, 54, 10)


def test_counters_page_and_python_give_the_same_counters(sandbox, generate):
    generate()
    counters = requests.get(f"{sandbox.url}/_sandbox/counters", timeout=10).json()
    assert counters == asdict(sandbox.counters)
    assert (counters["issued"], counters["active"]) == (1, 1)


def test_reset_sets_the_counters_to_zero_and_keeps_the_tokens(sandbox, generate):
    generate()
    assert requests.post(f"{sandbox.url}/_sandbox/reset", timeout=10).status_code == 204
    assert (sandbox.counters.token_requests, sandbox.counters.active, len(sandbox.issued)) == (0, 1, 1)


def test_page_shows_every_counter_and_no_secret(sandbox, generate):
    token = generate().json()["access_token"]
    page = requests.get(sandbox.url, timeout=10)
    assert page.headers["Content-Type"].startswith("text/html")
    assert page.text.count("<tr>") == len(asdict(sandbox.counters))
    assert "<tr><th>token requests<td>1\n" in page.text
    for part in ('http-equiv="refresh"', "color-scheme: light dark", "10 requests every 60 s", "100 active tokens"):
        assert part in page.text
    assert not any(secret in page.text for secret in (token, sandbox.client_secret))


def test_page_shows_clusters_and_jobs_as_they_move(sandbox, generate, clock):
    headers = {"Authorization": f"Bearer {generate().json()['access_token']}"}
    headers["Accept"] = "application/vnd.atlas.2025-03-12+json"
    cluster = f"{sandbox.url}/api/atlas/v2/groups/6b0000000000000000000000/clusters/cluster-1"
    requests.patch(cluster, json={"paused": True}, headers=headers, timeout=10)
    requests.post(f"{cluster}/backup/snapshots", json={}, headers=headers, timeout=10)
    seen = []
    for wait in (0, 2, 10):
        clock.now += wait
        rows = [row for row in requests.get(sandbox.url, timeout=10).text.splitlines() if "cluster-1" in row]
        seen.append([row.rpartition("<td>")[2] for row in rows])
    assert seen == [["IDLE paused", "queued"], ["UPDATING paused", "running"], ["IDLE paused", "done"]]
    assert (sandbox.counters.cluster_changes, sandbox.counters.jobs) == (1, 1)


def test_name_on_the_page_is_escaped(sandbox):
    sandbox.add_cluster("<script>", paused=True)
    assert "&lt;script&gt;" in requests.get(sandbox.url, timeout=10).text
