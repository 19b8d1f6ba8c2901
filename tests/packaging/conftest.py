"""The sdist and the wheel as users get them, and an environment with wheel and Airflow but without this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import airflow
import pytest

ROOT = Path(__file__).parent.parent.parent
UV = shutil.which("uv", path=f"{ROOT / '.tools/bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}")

# The tests of this project run in the clean environment, not in this one.
collect_ignore = ["little_project"]


def run(*command: object, **more: object) -> str:
    """Run a command and return its output. If the command fails, the test fails with that output."""
    done = subprocess.run(
        [str(part) for part in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=120,
        **more,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="session")
def distributions(tmp_path_factory) -> Path:
    """A folder with sdist and wheel. The wheel is built from the sdist, so the sdist must be complete too."""
    folder = tmp_path_factory.mktemp("dist")
    run(UV, "build", "--no-sources", "--quiet", "--python", sys.executable, "--out-dir", folder, ROOT)
    return folder


@pytest.fixture(scope="session")
def wheel(distributions) -> Path:
    (wheel,) = distributions.glob("*.whl")
    return wheel


@pytest.fixture(scope="session")
def clean(wheel, tmp_path_factory) -> Callable[..., str]:
    """Run a command in a new environment with the wheel, the same Airflow as here, and pytest."""
    folder = tmp_path_factory.mktemp("clean")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "PYTHON"))}
    environment |= {"HOME": str(folder), "AIRFLOW_HOME": str(folder / "airflow")}
    run(UV, "venv", "--quiet", "--python", sys.executable, folder / "env")
    requirements = (f"apache-airflow=={airflow.__version__}", f"airflow-provider-atlas[sandbox] @ {wheel.as_uri()}")
    python = ("--python", folder / "env" / "bin" / "python")
    run(UV, "pip", "install", "--no-sources", "--quiet", *python, *requirements, "pytest")
    return lambda command, *arguments, cwd=folder: run(
        folder / "env" / "bin" / command, *arguments, cwd=cwd, env=environment
    )
