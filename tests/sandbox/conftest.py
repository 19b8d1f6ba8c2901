"""A sandbox on the fake clock: its state without a server, and the server."""

from __future__ import annotations

import base64
from json import dumps

import pytest
import requests

from airflow_provider_atlas.sandbox import Sandbox
from airflow_provider_atlas.sandbox.administration import administer
from airflow_provider_atlas.sandbox.requests import FORM, AtlasRequest
from airflow_provider_atlas.sandbox.state import AtlasState

CLIENT_ID = "mdb_sa_id_0123456789abcdef01234567"
CLIENT_SECRET = "mdb_sa_sk_Only-For_Tests/0+9=~x_y"


def basic(client_id: str = CLIENT_ID, secret: str = CLIENT_SECRET) -> str:
    return "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()


def form_request(endpoint: str, body: str, authorization: str | None = None, **more: object) -> AtlasRequest:
    """Return a POST to a token endpoint, which is valid unless the test gives it something that is not."""
    headers = {"authorization": authorization or basic(), "content-type": FORM}
    return AtlasRequest(f"/api/oauth/{endpoint}", headers=headers, body=body.encode(), **more)


@pytest.fixture
def state(clock):
    return AtlasState(clock=clock, client_id=CLIENT_ID, client_secret=CLIENT_SECRET)


@pytest.fixture
def token(state):
    return state.issue(CLIENT_ID, CLIENT_SECRET, 3600)


class Api:
    """The Administration API without HTTP, for the default account unless a test names another one's token."""

    def __init__(self, state: AtlasState, base_url: str = "http://127.0.0.1:1") -> None:
        self.state, self.base_url = state, base_url

    def __call__(self, method, path, json=None, token=None, **more):
        token = token or self.state.issue(self.state.client_id, self.state.client_secret, 3600)
        media = "application/vnd.atlas.2025-03-12+json"
        headers = {"authorization": f"Bearer {token}", "accept": media, "content-type": media}
        body = b"" if json is None else dumps(json).encode()
        given = {"headers": headers, "body": body, "base_url": self.base_url, "method": method} | more
        return administer(self.state, AtlasRequest(f"/api/atlas/v2{path}", **given))

    def get(self, path, **query):
        return self("GET", path, query=query)


@pytest.fixture
def api(state):
    return Api(state)


@pytest.fixture
def sandbox(clock):
    with Sandbox(clock=clock) as sandbox:
        yield sandbox


@pytest.fixture
def generate(sandbox):
    """Request a token from the running sandbox."""

    def request(timeout=10, **more):
        account = (sandbox.client_id, sandbox.client_secret)
        given = {"auth": account, "data": {"grant_type": "client_credentials"}} | more
        return requests.post(f"{sandbox.url}/api/oauth/token", timeout=timeout, **given)

    return request


@pytest.fixture
def read(sandbox):
    """Send a GET to the running sandbox's Administration API."""

    def request(token, path="/groups", **params):
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/vnd.atlas.2025-03-12+json"}
        return requests.get(f"{sandbox.url}/api/atlas/v2{path}", params=params, headers=headers, timeout=10)

    return request
