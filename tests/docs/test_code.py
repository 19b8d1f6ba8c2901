"""The documentation works: its Python code runs against the sandbox, its commands and link targets exist."""

from __future__ import annotations

import importlib
import importlib.util
import json
import re
import shlex
import shutil
import sys
from itertools import groupby

import airflow
import pytest
from airflow.cli.cli_config import GroupCommand, core_commands
from airflow.providers.common.compat.sdk import DAG, AirflowFailException

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.docs.pages import DOCS, PAGES, ROOT, blocks, is_dag, name
from tests.test_exceptions import ERRORS

#: The code on this page is a project of its own, which `tests/packaging` runs.
PROJECT = DOCS / "how-to" / "test-your-dags.md"
SEPARATORS = "();&|\n"
BUILTINS = (".", "cd", "export", "umask")
every_page = pytest.mark.parametrize("page", PAGES, ids=name)


@pytest.fixture
def airflow_sdk(monkeypatch):
    """Lets the pages import `airflow.sdk` on Airflow 2."""
    if airflow.__version__.startswith("2."):
        monkeypatch.setitem(sys.modules, "airflow.sdk", importlib.import_module("airflow.decorators"))


@pytest.mark.parametrize("page", [page for page in PAGES if page != PROJECT], ids=name)
def test_every_python_block_runs_and_a_dag_file_defines_a_dag(page, atlas_sandbox, airflow_sdk):
    for block in blocks(page, "python"):
        block.namespace |= {"__name__": "page", "atlas_sandbox": atlas_sandbox, "made": None}
        block.evaluate()
        if is_dag(block):
            made = block.namespace["made"]
            assert isinstance(made, DAG)
            assert made.task_dict


def test_the_fleet_of_the_docs_has_a_setup_and_a_teardown(airflow_sdk):
    (block,) = blocks(DOCS / "how-to" / "run-a-fleet.md", "python")
    block.namespace["__name__"] = "page"
    block.evaluate()
    tasks = block.namespace["made"].task_dict
    assert set(tasks) == {"generate", "project_ids", "count_clusters", "revoke"}
    assert (tasks["generate"].is_setup, tasks["revoke"].is_teardown) == (True, True)
    assert tasks["revoke"].upstream_task_ids == {"generate", "project_ids", "count_clusters"}


def test_every_connection_that_the_docs_show_has_a_port_and_can_be_used(monkeypatch):
    page = (DOCS / "connection.md").read_text()
    stored = json.loads(re.search(r"```json\n(.*?)```", page, re.DOTALL)[1])["atlas_default"]
    texts = re.findall(r"AIRFLOW_CONN_ATLAS_DEFAULT='([^']*)'", page)
    assert len(texts) == 2
    for text in (json.dumps(stored), *texts):
        monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", text)
        assert AtlasServiceAccountHook.get_connection("atlas_default").port == 443
        assert AtlasServiceAccountHook().settings.cache_scope == "deployment"
    assert "--conn-port 443" in page


@every_page
def test_every_relative_link_points_to_a_file(page):
    links = re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


@every_page
def test_every_command_exists(page):
    found = [command for block in blocks(page, "console") for command in commands(block.parsed)]
    assert [command for command in found if not exists(command)] == []


def commands(text):
    """The words of each command in a piece of shell."""
    text = re.sub(r"(^|\s)#.*", "", text.replace("\\\n", ""), flags=re.MULTILINE)
    lexer = shlex.shlex(text, posix=True, punctuation_chars=SEPARATORS)
    lexer.whitespace, lexer.whitespace_split, lexer.commenters = " \t", True, ""
    return [
        list(words) for separator, words in groupby(lexer, lambda word: set(word) <= {*SEPARATORS}) if not separator
    ]


def exists(words):
    targets = re.findall(r"^([\w.-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    match words:
        case [assignment, *rest] if re.match(r"[A-Z_]+=", assignment):
            return exists(rest)
        case ["make", *arguments]:
            return all(argument in targets for argument in arguments if "=" not in argument)
        case ["python" | "python3", "-m", module, *_]:
            return importlib.util.find_spec(module) is not None
        case ["airflow", *names]:
            return airflow_has(core_commands, names)
        case ["pip", action, *_]:
            return action == "install"
        case [command, *_]:
            return command in BUILTINS or bool(shutil.which(command) or (ROOT / command).exists())
    return True


def airflow_has(all_commands, names):
    found = {command.name: command for command in all_commands}.get(names[0] if names else None)
    return airflow_has(found.subcommands, names[1:]) if isinstance(found, GroupCommand) else found is not None


@pytest.mark.parametrize(
    "command",
    [
        "make nonsense",
        "(umask 077; airflow nonsense)",
        "cd x  # there\nairflow nonsense",
        "airflow connections nonsense",
        "python -m nonsense",
        "no_such_command",
    ],
)
def test_the_check_finds_a_command_that_does_not_exist(command):
    assert not all(exists(words) for words in commands(command))


def test_the_table_of_limits_has_every_error_and_bold_ones_fail_the_task_at_once():
    page = (DOCS / "limits.md").read_text()
    rows = {kind: bold for bold, kind in re.findall(r"^\| (\*\*)?`(\w+)`(?:\*\*)? \|", page, re.MULTILINE)}
    kinds = {name: kind for name, kind in ERRORS.items() if name != "AtlasError"}
    assert set(rows) == set(kinds)
    assert {kind for kind, bold in rows.items() if bold} == {
        name for name, kind in kinds.items() if issubclass(kind, AirflowFailException)
    }
