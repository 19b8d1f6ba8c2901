"""What Airflow reads from the package: entry point, schema, form, DAG files."""

from __future__ import annotations

import json
from importlib.metadata import distribution, entry_points
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import airflow
import jsonschema
import pytest

from airflow_provider_atlas.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR, get_provider_info
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

ROOT = Path(__file__).parent.parent
EXAMPLES = sorted((ROOT / "example_dags").glob("*.py"))
#: Parts of names that Airflow redacts (secrets masker, DEFAULT_SENSITIVE_FIELDS).
SENSITIVE = {
    *("access_token", "api_key", "apikey", "authorization", "keyfile_dict", "passphrase", "passwd", "password"),
    *("private_key", "proxy", "proxies", "secret", "service_account", "token"),
}


def test_the_entry_point_returns_the_provider_info():
    (entry,) = [
        entry for entry in entry_points(group="apache_airflow_provider") if entry.dist.name == "airflow-provider-atlas"
    ]
    assert entry.load()() == get_provider_info()


def test_the_provider_info_matches_airflow_s_schema():
    schema = json.loads((Path(airflow.__file__).parent / "provider_info.schema.json").read_text())
    jsonschema.validate(get_provider_info(), schema)


def test_the_package_name_is_the_name_of_the_distribution():
    assert get_provider_info()["package-name"] == distribution("airflow-provider-atlas").metadata["Name"]


def test_every_module_and_class_in_the_provider_info_exists():
    info = get_provider_info()
    for kind in ("hooks", "operators", "sensors", "triggers"):
        for module in info[kind][0]["python-modules"]:
            __import__(module)
    for path in info["extra-links"]:
        module, _, kind = path.rpartition(".")
        assert hasattr(__import__(module, fromlist=[kind]), kind)
    (connection,) = info["connection-types"]
    assert connection["hook-class-name"] == f"{AtlasServiceAccountHook.__module__}.{AtlasServiceAccountHook.__name__}"
    assert connection["connection-type"] == AtlasServiceAccountHook.conn_type
    assert connection["hook-name"] == AtlasServiceAccountHook.hook_name


def test_airflow_redacts_the_previous_secret_and_the_proxies_and_no_other_field():
    redacted = {name for name in CONNECTION_FIELDS if any(word in name for word in SENSITIVE)}
    assert redacted == {"previous_secret", "proxies"}


def test_the_hook_s_form_for_older_airflow_matches_the_provider_info():
    assert AtlasServiceAccountHook.get_ui_field_behaviour() == {
        "hidden_fields": UI_FIELD_BEHAVIOUR["hidden-fields"],
        "relabeling": UI_FIELD_BEHAVIOUR["relabeling"],
        "placeholders": UI_FIELD_BEHAVIOUR["placeholders"],
    }


def test_the_hook_s_widgets_for_older_airflow_match_the_connection_fields():
    pytest.importorskip("flask_appbuilder", reason="comes with Airflow 2.11; on Airflow 3 with the provider fab only")
    widgets = AtlasServiceAccountHook.get_connection_form_widgets()
    assert list(widgets) == list(CONNECTION_FIELDS)
    kinds = {name: widget.field_class.__name__ for name, widget in widgets.items()}
    assert {name for name, kind in kinds.items() if kind == "PasswordField"} == {"previous_secret"}
    assert set(kinds.values()) == {"StringField", "PasswordField"}


def test_airflow_finds_the_connection_type_and_its_hook():
    from airflow.providers_manager import ProvidersManager

    assert ProvidersManager().hooks["mongodbatlas"].hook_name == "MongoDB Atlas service account"


def test_airflow_finds_the_fields_of_the_connection():
    from airflow.providers_manager import ProvidersManager

    if airflow.__version__.startswith(("3.0.", "3.1.")):
        pytest.importorskip("flask_appbuilder", reason="these read the hook's widgets, which need the provider fab")
    found = {key for key in ProvidersManager().connection_form_widgets if key.startswith("extra__mongodbatlas__")}
    assert found == {f"extra__mongodbatlas__{name}" for name in CONNECTION_FIELDS}


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_every_example_dag_imports_and_is_named_after_its_file(path):
    spec = spec_from_file_location(path.stem, path)
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    assert path.stem in vars(module)
