"""The connection form as the installed Airflow shows it, read with Airflow's own code for each major version."""

from __future__ import annotations

import json
import subprocess
import sys

import airflow
import pytest

from airflow_provider_atlas.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR

#: Airflow 2: the class of the form, and the labels that its script gets.
AIRFLOW_2 = """
from airflow.providers_manager import ProvidersManager
from airflow.www.forms import create_connection_form_class
form, behaviour = create_connection_form_class(), ProvidersManager().field_behaviours["mongodbatlas"]
shown = {
    name: {"hidden": name in behaviour["hidden_fields"]}
    | {"title": behaviour["relabeling"].get(name), "placeholder": behaviour["placeholders"].get(name)}
    for name in ("host", "login", "password", "port", "schema")
}
prefix = "extra__mongodbatlas__"
fields = {name.removeprefix(prefix): getattr(form, name) for name in dir(form) if name.startswith(prefix)}
extra = {
    name: [field.args[0], field.kwargs["description"]]
    + [validator.values for validator in field.kwargs["validators"] if hasattr(validator, "values")]
    for name, field in fields.items()
}
"""
#: Airflow 3: what its API sends to the browser. This leaves mocks in the `sys.modules` of its process.
AIRFLOW_3 = """
from airflow.api_fastapi.core_api.services.ui.connections import HookMetaService
(hook,) = [hook for hook in HookMetaService.hook_meta_data() if hook.connection_type == "mongodbatlas"]
standard = hook.standard_fields.model_dump()
standard["schema"] = standard.pop("url_schema")
shown = {name: standard[name] for name in ("host", "login", "password", "port", "schema")}
extra = {
    name: [field["schema"]["title"], field["description"]]
    + [values for key, values in field["schema"].items() if key == "enum"]
    for name, field in hook.extra_fields.items()
}
"""


@pytest.fixture(scope="module")
def form():
    if airflow.__version__.startswith("3.0."):
        pytest.importorskip(
            "flask_appbuilder", reason="Airflow 3.0 shows the forms of providers only with the provider fab"
        )
    script = (AIRFLOW_2 if airflow.__version__.startswith("2.") else AIRFLOW_3) + (
        "\nimport json\nprint(json.dumps({'shown': shown, 'extra': extra}))"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def test_standard_fields_have_labels_and_only_the_schema_is_hidden(form):
    assert {name for name, field in form["shown"].items() if field["hidden"]} == {"schema"}
    for what, names in (("title", "relabeling"), ("placeholder", "placeholders")):
        assert {name: field[what] for name, field in form["shown"].items() if field[what]} == UI_FIELD_BEHAVIOUR[names]


def test_every_extra_field_has_its_label_description_and_choices(form):
    assert form["extra"] == {
        name: [
            field["label"],
            field["description"],
            *([field["schema"]["enum"]] if "enum" in field["schema"] else []),
        ]
        for name, field in CONNECTION_FIELDS.items()
    }
