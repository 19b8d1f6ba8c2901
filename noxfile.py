"""The unit tests on every older Airflow that is supported, and a real one of the oldest; `make test` has the newest."""

from __future__ import annotations

import nox

OLDEST = "2.11.2"
#: Airflow 3.0 shows no provider's connection form without the provider fab.
MORE = {"3.0.6": ["apache-airflow-providers-fab"]}

nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"


@nox.session
@nox.parametrize("airflow", [OLDEST, "3.0.6", "3.1.8", "3.2.2"])
def tests(session: nox.Session, airflow: str) -> None:
    session.install(f"apache-airflow=={airflow}", "-e", ".[sandbox]", "--group", "test", *MORE.get(airflow, []))
    session.run("pytest", "-q", "-m", "not (integration or fleet or form or distributed)")
    if airflow == OLDEST:
        session.run("pytest", "-q", "-m", "integration", "tests/integration")
