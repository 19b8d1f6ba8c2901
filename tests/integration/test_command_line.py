"""The commands of docs/connection.md, run in a shell as they stand there, with a sandbox in Atlas's place."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.fernet import Fernet

from harness.settings import environment

PAGE = Path(__file__).parent.parent.parent / "docs" / "connection.md"
ASK_THE_HOOK = """
python -c '
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
settings = AtlasServiceAccountHook().settings
print(settings.cache_scope, settings.max_wait)
'"""


def variables(home):
    """Of an Airflow that is as it was installed, but for its place."""
    key = Fernet.generate_key().decode()
    settings = environment(home, home, url="http://127.0.0.1:1", fernet_key=key, slots=1)
    del settings["AIRFLOW__CORE__TEST_CONNECTION"]
    return settings


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    subprocess.run(["airflow", "db", "migrate"], env=variables(home), cwd=home, check=True, capture_output=True)
    return home / "airflow.db"


@pytest.fixture
def shell(database, tmp_path):
    """Runs a script beside an Airflow with a database of its own, and returns what it says."""
    shutil.copy(database, tmp_path)
    settings = variables(tmp_path)

    def run(script):
        done = subprocess.run(
            ["bash", "-eu"],
            input=script,  # not an argument: the secret is in it
            env=settings,
            cwd=tmp_path,
            check=False,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.fixture
def page(sandbox):
    """The code of a section of the page, by its language, for the sandbox's account."""

    def read(section, language):
        (text,) = re.findall(rf"^## {section}\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        for placeholder, value in (
            ("mdb_sa_id_...", sandbox.client_id),
            ("mdb_sa_sk_...", sandbox.client_secret),
            ("https://cloud.mongodb.com", sandbox.url),
            ("@cloud.mongodb.com", "@" + quote(sandbox.url, safe="")),
        ):
            blocks = [block.replace(placeholder, value) for block in blocks]
        return blocks

    return read


@pytest.fixture
def exchanged(sandbox):
    """How many tokens were given and taken back."""
    sandbox.reset_counters()
    return lambda: (sandbox.counters.issued, sandbox.counters.revoked)


def test_a_connection_from_a_file_is_stored_tested_and_exported(shell, page, tmp_path, exchanged):
    (file,), (store, export) = page("From a file", "json"), page("From a file", "console")
    (tmp_path / "atlas.json").write_text(file)
    assert "Connection success!" in shell(store + export)
    assert exchanged() == (1, 1)
    exported = tmp_path / "connections.json"
    assert exported.stat().st_mode & 0o077 == 0
    assert as_typed(exported.read_text()) == as_typed(file)
    assert not (tmp_path / "atlas.json").exists()


def test_a_connection_from_the_command_line_is_the_same(shell, page, tmp_path):
    (add,), (file,) = page("From the command line", "console"), page("From a file", "json")
    shell(f"{add}\nairflow connections export connections.json")
    assert as_typed((tmp_path / "connections.json").read_text()) == as_typed(file)


@pytest.mark.parametrize("number", [0, 1], ids=["JSON", "URI"])
def test_a_connection_from_the_environment_is_tested_and_read(shell, page, exchanged, number):
    _import, test = page("From a file", "console")[0].split("rm atlas.json\n")
    said = shell(page("From the environment", "console")[number] + test + ASK_THE_HOOK)
    assert "Connection success!" in said
    assert said.endswith("deployment 60.0\n")
    assert exchanged() == (1, 1)


def as_typed(text):
    """The connection of a file, without what is empty; the extra as JSON, whether it is a text or an object."""
    connection = {name: value for name, value in json.loads(text)["atlas_default"].items() if value}
    extra = connection["extra"]
    return connection | {"extra": json.loads(extra) if isinstance(extra, str) else extra}
