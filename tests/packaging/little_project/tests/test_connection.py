import json
import os


def test_the_connection_leads_to_the_sandbox(atlas_sandbox):
    assert json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"])["host"] == atlas_sandbox.url


def test_and_only_for_whom_asks():
    assert "AIRFLOW_CONN_ATLAS_DEFAULT" not in os.environ
