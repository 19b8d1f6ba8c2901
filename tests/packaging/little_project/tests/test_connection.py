import json
import os


def test_the_connection_points_to_the_sandbox(atlas_sandbox):
    assert json.loads(os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"])["host"] == atlas_sandbox.url


def test_there_is_no_connection_without_the_fixture():
    assert "AIRFLOW_CONN_ATLAS_DEFAULT" not in os.environ
