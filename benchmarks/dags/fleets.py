"""Each way to get an Atlas token, as a fleet of mapped tasks. The run's conf has the size and the connection.

The peers are written as their users write them: a task requests a token and calls the Administration API with it.
Tenacity waits in the task. With authlib, requests-oauthlib and the HTTP operator the task's retries wait.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from airflow.providers.common.compat.sdk import BaseHook, dag, task
from airflow.providers.http.operators.http import HttpOperator

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

FLEET: dict[str, Any] = {"schedule": None, "start_date": datetime(2025, 1, 1), "max_active_tasks": 16}
RETRIES, DELAY = 12, timedelta(seconds=15)
GROUPS = "/api/atlas/v2/groups"
ACCEPT = {"Accept": "application/vnd.atlas.2025-03-12+json"}


@task
def connections(**context: Any) -> list[str]:
    conf = context["dag_run"].conf
    return [conf["conn"]] * conf["size"]


@dag(**FLEET)
def empty() -> None:
    @task(retries=0)
    def call(conn_id: str) -> None:
        pass

    call.expand(conn_id=connections())


@dag(**FLEET)
def deployment() -> None:
    @task(retries=0)
    def call(conn_id: str) -> None:
        AtlasServiceAccountHook(conn_id, cache_scope="deployment").run(GROUPS)

    call.expand(conn_id=connections())


@dag(**FLEET)
def dag_run() -> None:
    generate = GenerateTokenOperator(task_id="generate", atlas_conn_id="{{ dag_run.conf['conn'] }}")

    @task(retries=0)
    def call(conn_id: str, token: str) -> None:
        AtlasServiceAccountHook(conn_id, token=token).run(GROUPS)

    token = generate.output["token"]  # type: ignore[index]
    calls = call.partial(token=token).expand(conn_id=connections())
    revoke = RevokeTokenOperator(task_id="revoke", token=token, atlas_conn_id="{{ dag_run.conf['conn'] }}")
    setup = generate.as_setup()  # type: ignore[no-untyped-call]
    setup >> calls >> revoke.as_teardown(setups=generate)


@dag(**FLEET)
def task_scope() -> None:
    @task(retries=0)
    def call(conn_id: str) -> None:
        AtlasServiceAccountHook(conn_id).run(GROUPS)

    call.expand(conn_id=connections())


@dag(**FLEET)
def deferred() -> None:
    GenerateTokenOperator.partial(task_id="call", deferrable=True, max_wait=600, retries=0).expand(
        atlas_conn_id=connections()
    )


@dag(**FLEET)
def tenacity() -> None:
    @task(retries=0)
    def call(conn_id: str) -> None:
        import requests
        from tenacity import retry, stop_after_delay, wait_exponential

        conn = BaseHook.get_connection(conn_id)

        @retry(wait=wait_exponential(max=60), stop=stop_after_delay(180))
        def generate() -> str:
            response = requests.post(
                f"{conn.host}/api/oauth/token",
                data={"grant_type": "client_credentials"},
                auth=(conn.login or "", conn.password or ""),
                timeout=30,
            )
            response.raise_for_status()
            return str(response.json()["access_token"])

        headers = ACCEPT | {"Authorization": f"Bearer {generate()}"}
        requests.get(f"{conn.host}{GROUPS}", headers=headers, timeout=30).raise_for_status()

    call.expand(conn_id=connections())


@dag(**FLEET)
def authlib() -> None:
    @task(retries=RETRIES, retry_delay=DELAY)
    def call(conn_id: str) -> None:
        from authlib.integrations.requests_client import OAuth2Session

        conn = BaseHook.get_connection(conn_id)
        session = OAuth2Session(conn.login, conn.password)
        session.fetch_token(f"{conn.host}/api/oauth/token", grant_type="client_credentials")
        session.get(f"{conn.host}{GROUPS}", headers=ACCEPT).raise_for_status()

    call.expand(conn_id=connections())


@dag(**FLEET)
def requests_oauthlib() -> None:
    @task(retries=RETRIES, retry_delay=DELAY)
    def call(conn_id: str) -> None:
        import os

        from oauthlib.oauth2 import BackendApplicationClient
        from requests_oauthlib import OAuth2Session

        os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"  # the sandbox is plain http on loopback
        conn = BaseHook.get_connection(conn_id)
        session = OAuth2Session(client=BackendApplicationClient(conn.login))
        session.fetch_token(f"{conn.host}/api/oauth/token", client_id=conn.login, client_secret=conn.password)
        session.get(f"{conn.host}{GROUPS}", headers=ACCEPT).raise_for_status()

    call.expand(conn_id=connections())


@dag(**FLEET)
def http_operator() -> None:
    HttpOperator.partial(
        task_id="call",
        endpoint="/api/oauth/token",
        data={"grant_type": "client_credentials"},
        retries=RETRIES,
        retry_delay=DELAY,
    ).expand(http_conn_id=connections())


for make in (empty, deployment, dag_run, task_scope, deferred, tenacity, authlib, requests_oauthlib, http_operator):
    make()
