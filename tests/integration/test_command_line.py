"""The commands of docs/connection.md, run unchanged in a shell, with a sandbox in place of Atlas."""

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
PRINT_SETTINGS = """
python -c '
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
settings = AtlasServiceAccountHook().settings
print(settings.cache_scope, settings.max_wait)
'"""


def variables(home):
    """The environment of an Airflow with default settings in its own folder."""
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
    """Call it to run a script for an Airflow with its own database, and to get the output."""
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
    """Call it for the code blocks of a section in one language, with the sandbox's account filled in."""

    def read(section, language):
        (text,) = re.findall(rf"^## {section}\n(.*?)^## ", PAGE.read_text(), re.DOTALL | re.MULTILINE)
        blocks = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
        for placeholder, value in (
            ("mdb_sa_id_...", sandbox.client_id),
            ("mdb_sa_sk_...", sandbox.client_secret),
            ("https://cloud.mongodb.com", sandbox.url),
            ("@cloud.mongodb.com:443", "@" + quote(sandbox.url, safe="")),
            ('"port": 443', f'"port": {sandbox.port}'),
            ("--conn-port 443", f"--conn-port {sandbox.port}"),
        ):
            blocks = [block.replace(placeholder, value) for block in blocks]
        return blocks

    return read


@pytest.fixture
def token_counts(sandbox):
    """Call it for the number of tokens generated and revoked."""
    sandbox.reset_counters()
    return lambda: (sandbox.counters.issued, sandbox.counters.revoked)


def test_a_connection_from_a_file_is_stored_tested_and_exported(shell, page, tmp_path, token_counts):
    (file,), (store, export) = page("From a file", "json"), page("From a file", "console")
    (tmp_path / "atlas.json").write_text(file)
    assert "Connection success!" in shell(store + export)
    assert token_counts() == (1, 1)
    exported = tmp_path / "connections.json"
    assert exported.stat().st_mode & 0o077 == 0
    assert normalized(exported.read_text()) == normalized(file)
    assert not (tmp_path / "atlas.json").exists()


def test_a_connection_from_the_command_line_equals_the_one_from_a_file(shell, page, tmp_path):
    (add,), (file,) = page("From the command line", "console"), page("From a file", "json")
    shell(f"{add}\nairflow connections export connections.json")
    assert normalized((tmp_path / "connections.json").read_text()) == normalized(file)


@pytest.mark.parametrize("number", [0, 1], ids=["JSON", "URI"])
def test_a_connection_from_the_environment_is_tested_and_read(shell, page, token_counts, number):
    _import, test = page("From a file", "console")[0].split("rm atlas.json\n")
    output = shell(page("From the environment", "console")[number] + test + PRINT_SETTINGS)
    assert "Connection success!" in output
    assert output.endswith("deployment 60.0\n")
    assert token_counts() == (1, 1)


def normalized(text):
    """The connection in a file, without empty fields. The extra becomes an object, also if it is text."""
    connection = {name: value for name, value in json.loads(text)["atlas_default"].items() if value}
    extra = connection["extra"]
    return connection | {"extra": json.loads(extra) if isinstance(extra, str) else extra}
