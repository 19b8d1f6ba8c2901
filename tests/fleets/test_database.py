"""PostgreSQL as the database of a private Airflow: what is written to it is kept, and secrets in it are found."""

from __future__ import annotations

import json

import pytest
from cryptography.fernet import Fernet

from harness import leaks

SECRET = "mdb_sa_sk_only-for-tests-0123456789"


class Watched:
    """As much of an Airflow as the search for secrets needs."""

    def __init__(self, database, home):
        self.database, self.query, self.home = database, database.query, home
        self.fernet_key = Fernet.generate_key().decode()


@pytest.fixture
def airflow(postgres, tmp_path):
    postgres.write("CREATE TABLE seen (id int, kwargs text, value json, pickled bytea)")
    airflow = Watched(postgres, tmp_path)
    leaks.watch(airflow)
    yield airflow
    postgres.write(f"DROP TABLE seen, {leaks.KEPT}; DROP FUNCTION keep_writes")


def written(airflow, column):
    encrypted = Fernet(airflow.fernet_key).encrypt(SECRET.encode()).decode()
    return {"kwargs": encrypted, "value": json.dumps({"kept": [SECRET]}), "pickled": SECRET.encode()}[column]


@pytest.mark.parametrize("deleted", [False, True])
@pytest.mark.parametrize("column", ["kwargs", "value", "pickled"])
def test_a_secret_in_a_row_is_found_also_when_the_row_was_changed_and_deleted(airflow, column, deleted):
    airflow.database.write("INSERT INTO seen (id) VALUES (1)")
    airflow.database.write(f"UPDATE seen SET {column} = ?", (written(airflow, column),))
    if deleted:
        airflow.database.write("DELETE FROM seen")
    found = leaks.search({"secret": leaks.forms(SECRET)}, airflow).leaks
    assert [leak.place for leak in found] == [f"seen.{column}"]


def test_another_text_is_no_leak(airflow):
    airflow.database.write("INSERT INTO seen VALUES (1, ?, NULL, NULL)", (SECRET.replace("only", "not"),))
    assert leaks.search({"secret": leaks.forms(SECRET)}, airflow).leaks == []
