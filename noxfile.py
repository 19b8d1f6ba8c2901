"""
Every Airflow that is supported, each in an environment of its own below `.nox`. `make test-versions` runs the two
oldest, `make test-postgres` those that write a Variable as delete and insert, and `make test-matrix` each with the
oldest and the newest Python that it takes.

`make test` runs the same tests on the newest, in `.venv`; so it is left out unless it is named.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import nox

OLDEST, *BETWEEN, NEWEST = AIRFLOWS = ("2.11.2", "3.0.6", "3.1.8", "3.2.2", "3.3.2")
#: Airflow 3.0 shows no provider's connection form without the provider fab, and its `ObjectStoragePath` cannot be made
#: with universal-pathlib 0.3. Airflow's constraints have 0.2.
MORE = {"3.0.6": ["apache-airflow-providers-fab", "universal-pathlib<0.3"]}

#: The Pythons of the matrix. Where an interpreter is missing, nox says so and skips the session.
PYTHONS = {
    "2.11.2": ("3.11", "3.12"),
    "3.0.6": ("3.11", "3.12"),
    "3.1.8": ("3.11", "3.13"),
    "3.2.2": ("3.11", "3.13", "3.14"),
    "3.3.2": ("3.11", "3.12", "3.13", "3.14"),
}
#: The newest pre-release may fail: it is a report.
PRERELEASE = ("3.4.0b2", "3.13")

#: What these tests show is the same on each Python: `make test` runs them.
ONCE = ("benchmarks", "demo", "docs", "fuzz", "harness", "openapi", "packaging")
#: And these do not depend on Airflow.
ALIKE = (*ONCE, "oauth", "sandbox")


def unit_tests(but: Sequence[str]) -> list[str]:
    """The arguments of pytest."""
    return ["-m", "not slow", "-n", "2", "--dist", "loadfile", *(f"--ignore=tests/{each}" for each in but)]


nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
nox.options.sessions = [f"unit({OLDEST})", f"unit({BETWEEN[0]})", f"integration({OLDEST})"]


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
    run(session, airflow, *unit_tests(ALIKE))


@nox.session
@nox.parametrize("python,airflow", [(python, airflow) for airflow, each in PYTHONS.items() for python in each])
def matrix(session: nox.Session, airflow: str) -> None:
    """Unit tests on each Python."""
    run(session, airflow, *unit_tests(ONCE))


@nox.session(python=PRERELEASE[1])
def prerelease(session: nox.Session) -> None:
    """Unit tests on the newest pre-release of Airflow."""
    session.install("--prerelease=allow", f"apache-airflow=={PRERELEASE[0]}", "-e", ".[sandbox]", "--group", "test")
    home = {"AIRFLOW_HOME": str(Path(session.create_tmp()).resolve())}
    session.run("pytest", "-q", *unit_tests(ONCE), *session.posargs, env=home, success_codes=[0, 1])


@nox.session
@nox.parametrize("airflow", [OLDEST, NEWEST], ids=[OLDEST, NEWEST])
def integration(session: nox.Session, airflow: str) -> None:
    """A real Airflow, with the example DAGs and the tests' own."""
    run(session, airflow, "-m", "integration and not long", "tests/integration")


@nox.session
@nox.parametrize("airflow", ["2.11.2", "3.0.6"], ids=["2.11.2", "3.0.6"])
def postgres(session: nox.Session, airflow: str) -> None:
    """Processes that write at once, on PostgreSQL."""
    # With FastAPI 0.165 the API server of 3.0 refuses a task's start with 422; with 0.117 it does not.
    packages = ["--group", "postgres", *(["fastapi<0.118"] if airflow == "3.0.6" else [])]
    run(session, airflow, "-s", "-m", "postgres", "tests/postgres", packages=packages)
