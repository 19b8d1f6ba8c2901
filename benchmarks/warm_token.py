"""``get_token()`` with a cached token, compared with what authlib and requests-oauthlib do before each request.

Run ``python -m benchmarks.warm_token``. All three are called in turn, in many rounds in one process, so that changes of
the machine's speed affect all of them. Medians of the rounds and the ratio to the faster peer are printed. The hook
runs in a task's context, as on a worker, and requests one token from the sandbox.
"""

from __future__ import annotations

import statistics
import sys
import time
import timeit
from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from unittest import mock

from authlib.integrations.requests_client import OAuth2Session
from oauthlib.oauth2 import BackendApplicationClient
from requests_oauthlib import OAuth2Session as RequestsOAuthlibSession

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.sandbox import Sandbox

ROUNDS, CALLS = 51, 20_000


def contenders(sandbox: Sandbox) -> dict[str, Callable[[], object]]:
    """What each library calls to make sure that it has a valid token: ours, authlib, requests-oauthlib."""
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", map_index=-1, try_number=1)
    with mock.patch("airflow.providers.common.compat.sdk.get_current_context", return_value={"ti": ti}, create=True):
        hook = AtlasServiceAccountHook(
            client_id=sandbox.client_id, client_secret=sandbox.client_secret, base_url=sandbox.url
        )
    token = hook.get_token()
    as_dict = {"access_token": token.value, "token_type": "Bearer", "expires_at": time.time() + 3600}
    authlib = OAuth2Session(sandbox.client_id, token=as_dict, token_endpoint=f"{sandbox.url}/api/oauth/token")
    client = BackendApplicationClient(sandbox.client_id, token=dict(as_dict))
    other = RequestsOAuthlibSession(client=client, token=dict(as_dict))
    # requests-oauthlib has no separate step: its session checks the expiry while it adds the token to a request.
    return {
        "airflow-provider-atlas  hook.get_token()": hook.get_token,
        "authlib                 ensure_active_token()": authlib.ensure_active_token,
        "requests-oauthlib       client.add_token()": partial(other._client.add_token, "https://atlas.example/"),
    }


def main() -> int:
    with Sandbox() as sandbox:
        calls = contenders(sandbox)
        times: dict[str, list[float]] = {name: [] for name in calls}
        for _ in range(ROUNDS):
            for name, call in calls.items():
                times[name].append(timeit.timeit(call, number=CALLS) / CALLS * 1e9)
        requests = sandbox.counters.token_requests
    ours, *peers = times
    ratios = [min(times[peer][turn] for peer in peers) / times[ours][turn] for turn in range(ROUNDS)]
    for name, rounds in times.items():
        print(f"{name:<50}{statistics.median(rounds):>8.0f} ns  (median of {ROUNDS}, min {min(rounds):.0f})")
    ratio = statistics.median(ratios)
    print(f"{'faster peer / ours':<50}{ratio:>8.2f}     (median of the rounds' ratios; token requests: {requests})")
    return 0 if ratio >= 1 else 1


if __name__ == "__main__":
    sys.exit(main())
