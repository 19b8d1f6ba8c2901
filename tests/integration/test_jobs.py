"""Mapped and deferred jobs on a real Airflow: each ends, with few tokens and no more looks than intervals."""

from __future__ import annotations

from collections import Counter

import pytest

from harness import leaks


@pytest.fixture(autouse=True)
def sandbox_as_before(sandbox):
    before = sandbox.page_total, sandbox.change_seconds
    yield
    sandbox.page_total, sandbox.change_seconds = before


def test_twenty_mapped_pauses_are_deferred_and_succeed_with_two_tokens_at_most(airflow, sandbox):
    size, seconds = 20, 20.0
    sandbox.page_total, sandbox.change_seconds = max(sandbox.page_total, size), seconds
    sandbox.reset_counters()
    run = airflow.run_dag("pauses", {"size": size}, 150)
    states = Counter(state for (task, _), state in run.tasks.items() if task == "pause")
    counters = sandbox.counters
    print(f"\n{states} in {run.duration:.0f} s; {counters.token_requests} tokens, {counters.api_requests} requests")
    assert states == {"success": size}, "\n".join(run.errors(airflow.logs()))
    assert counters.token_requests <= 2
    assert counters.cluster_changes == size
    # A look before the change, the change, and a look each interval, the first one after 30 s.
    assert counters.api_requests <= size * (2 + 1 + max(seconds - 30, 0) / 10 + 2)
    links = airflow.query("SELECT value FROM xcom WHERE run_id = ? AND key = '_link_AtlasLink'", (run.run_id,))
    assert len(links) == size
    assert all("#/clusters/detail/cluster-" in str(link["value"]) for link in links)
    needles = leaks.needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    assert leaks.search(needles, airflow).leaks == []
