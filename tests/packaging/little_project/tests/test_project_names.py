import json
import os

import pytest
from project_names import list_names, made

from airflow_provider_atlas.exceptions import AtlasApiError


def test_the_connection_is_in_the_environment(atlas_sandbox):
    assert json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"])["host"] == atlas_sandbox.url


# A task is a function: no database, no scheduler.


def test_all_pages_are_read_with_one_token(atlas_sandbox):
    atlas_sandbox.page_total = 501
    assert len(list_names.function()) == 501
    assert atlas_sandbox.counters.token_requests == 1
    assert atlas_sandbox.counters.api_requests == 2


def test_a_short_outage_is_waited_out(atlas_sandbox):
    atlas_sandbox.fail_next("api", status=503, headers={"Retry-After": "0"})
    assert list_names.function() == ["project-0", "project-1", "project-2"]
    assert atlas_sandbox.counters.faults == 1


def test_what_atlas_refuses_is_an_error_with_its_words(atlas_sandbox):
    atlas_sandbox.fail_next("api", status=403, body='{"errorCode": "NOT_YOURS", "detail": "no"}')
    with pytest.raises(AtlasApiError, match="NOT_YOURS"):
        list_names.function()


# The whole DAG, still without a scheduler.


@pytest.mark.usefixtures("airflow_database")
def test_the_dag_gives_its_token_back_even_when_a_task_fails(atlas_sandbox):
    atlas_sandbox.fail_next("api", status=403)
    run = made.test()
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}
    assert states == {"generate": "success", "list_names": "failed", "revoke": "success"}
    assert atlas_sandbox.counters.issued == 1
    assert atlas_sandbox.counters.active == 0
