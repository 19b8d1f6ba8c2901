"""
Every Airflow that is supported, each in an environment of its own below `.nox`; `make test-versions` runs them, and
`make test-postgres` those that write a Variable as delete and insert.

`make test` runs the same tests on the newest, in `.venv`; so it is left out unless it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nox

OLDEST, *BETWEEN, NEWEST = AIRFLOWS = ("2.11.2", "3.0.6", "3.1.8", "3.2.2", "3.3.2")
#: Airflow 3.0 shows no provider's connection form without the provider fab.
MORE = {"3.0.6": ["apache-airflow-providers-fab"]}

nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [*(f"unit({airflow})" for airflow in (OLDEST, *BETWEEN)), f"integration({OLDEST})"]


def run(session: nox.Session, airflow: str, *arguments: str, packages: Sequence[str] = ()) -> None:
    """Install this Airflow and run tests; no settings and no packages of another version are in reach."""
    session.install(
        f"apache-airflow=={airflow}", "-e", ".[sandbox]", "--group", "test", *MORE.get(airflow, []), *packages
    )
    session.run(
        "pytest", "-q", *arguments, *session.posargs, env={"AIRFLOW_HOME": str(Path(session.create_tmp()).resolve())}
    )


@nox.session
@nox.parametrize("airflow", AIRFLOWS, ids=AIRFLOWS)
def unit(session: nox.Session, airflow: str) -> None:
    """Unit tests."""
    run(session, airflow, "-m", "not slow", "-n", "2", "--dist", "loadfile")


@nox.session
@nox.parametrize("airflow", [OLDEST, NEWEST], ids=[OLDEST, NEWEST])
def integration(session: nox.Session, airflow: str) -> None:
    """A real Airflow, with the example DAGs and the tests' own."""
    run(session, airflow, "-m", "integration", "tests/integration")


@nox.session
@nox.parametrize("airflow", ["2.11.2", "3.0.6"], ids=["2.11.2", "3.0.6"])
def postgres(session: nox.Session, airflow: str) -> None:
    """Processes that write at once, on PostgreSQL."""
    # With FastAPI 0.165 the API server of 3.0 refuses a task's start with 422; with 0.117 it does not.
    packages = ["--group", "postgres", *(["fastapi<0.118"] if airflow == "3.0.6" else [])]
    run(session, airflow, "-s", "-m", "postgres", "tests/postgres", packages=packages)
