"""A sandbox on the fake clock: as bare rules, and behind HTTP."""

from __future__ import annotations

import base64

import pytest
import requests

from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.sandbox.call import FORM, Call
from airflow_provider_atlas.sandbox.knobs import Knobs
from airflow_provider_atlas.sandbox.state import AtlasState

CLIENT_ID = "mdb_sa_id_0123456789abcdef01234567"
CLIENT_SECRET = "mdb_sa_sk_Only-For_Tests/0+9=~x_y"


def basic(client_id: str = CLIENT_ID, secret: str = CLIENT_SECRET) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def form_call(endpoint: str, body: str, authorization: str | None = None, **more: object) -> Call:
    """Return a faultless POST to a token endpoint, but for what the test says."""
    headers = {"authorization": authorization or basic(), "content-type": FORM}
    return Call(f"/api/oauth/{endpoint}", headers=headers, body=body.encode(), **more)


@pytest.fixture
def knobs():
    return Knobs()


@pytest.fixture
def state(knobs, clock):
    state = AtlasState(knobs, clock)
    state.add_account(CLIENT_ID, CLIENT_SECRET, None)
    return state


@pytest.fixture
def token(state):
    return state.issue(CLIENT_ID, CLIENT_SECRET)


@pytest.fixture
def sandbox(clock):
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def generate(sandbox):
    """Ask the running sandbox for a token."""

    def ask(timeout=10, **more):
        account = (sandbox.client_id, sandbox.client_secret)
        given = {"auth": account, "data": {"grant_type": "client_credentials"}} | more
        return requests.post(f"{sandbox.url}/api/oauth/token", timeout=timeout, **given)

    return ask


@pytest.fixture
def read(sandbox):
    """Ask the running sandbox's Administration API."""

    def ask(token, path="/groups", **params):
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.atlas.2025-03-12+json"}
        return requests.get(f"{sandbox.url}/api/atlas/v2{path}", params=params, headers=headers, timeout=10)

    return ask
