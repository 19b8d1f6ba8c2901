import pytest
from project_names import list_names, made

from airflow_provider_atlas.exceptions import AtlasApiError


def test_one_token_reads_all_pages(atlas_sandbox):
    atlas_sandbox.page_total = 501  # every setting can change while it runs
    assert len(list_names.function()) == 501
    assert atlas_sandbox.counters.token_requests == 1
    assert atlas_sandbox.counters.api_requests == 2


def test_a_refusal_raises_an_error_with_the_code_of_atlas(atlas_sandbox):
    atlas_sandbox.fail_next("api", status=403, body='{"errorCode": "NOT_YOURS", "detail": "no"}')
    with pytest.raises(AtlasApiError, match="NOT_YOURS"):
        list_names.function()


def test_the_dag_revokes_its_token_even_when_a_task_fails(atlas_sandbox, airflow_database):
    atlas_sandbox.fail_next("api", status=403)
    run = made.test()
    states = {ti.task_id: ti.state for ti in run.get_task_instances()}
    assert states == {"generate": "success", "list_names": "failed", "revoke": "success"}
    assert atlas_sandbox.counters.issued == 1
    assert atlas_sandbox.counters.active == 0
