"""The connection form's further fields as Airflow 2.11 to 3.1 want them: WTForms widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def widgets(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    Make a widget of each field.

    :param fields: as in :data:`airflow_provider_atlas.get_provider_info.CONNECTION_FIELDS`.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget, Select2Widget
    from wtforms import IntegerField, SelectField, StringField
    from wtforms.validators import NumberRange, Optional

    def widget(field: Mapping[str, Any]) -> Any:
        schema = field["schema"]
        about = {"label": field["label"], "description": field["description"]}
        if "enum" in schema:
            return SelectField(**about, choices=["", *schema["enum"]], widget=Select2Widget(), validators=[Optional()])
        if "integer" in schema["type"]:
            limits = [Optional(), NumberRange(min=schema["minimum"])]
            return IntegerField(**about, widget=BS3TextFieldWidget(), validators=limits)
        return StringField(**about, widget=BS3TextFieldWidget())

    return {name: widget(field) for name, field in fields.items()}
