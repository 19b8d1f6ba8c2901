"""The connection form for Airflow 2.11 to 3.1, which ask the hook for labels and WTForms widgets."""

from __future__ import annotations

from typing import Any

from airflow_provider_atlas.get_provider_info import CONNECTION_FIELDS, UI_FIELD_BEHAVIOUR


def labels() -> dict[str, Any]:
    """The standard fields' labels and placeholders."""
    return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}


def widgets() -> dict[str, Any]:
    """A widget for each field of the extra."""
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget, BS3TextFieldWidget
    from wtforms import PasswordField, StringField
    from wtforms.validators import Optional, any_of

    # Airflow drops the whole hook if a field is not a text, number, password or checkbox, and it loses a 0 in a number
    # field when a connection is edited. 3.1 makes a dropdown of ``any_of``.
    text, kinds = (StringField, BS3TextFieldWidget()), {"password": (PasswordField, BS3PasswordFieldWidget())}
    shown = {name: kinds.get(field["schema"].get("format"), text) for name, field in CONNECTION_FIELDS.items()}
    return {
        name: shown[name][0](
            field["label"],
            description=field["description"],
            widget=shown[name][1],
            validators=[Optional(), *([any_of(field["schema"]["enum"])] if "enum" in field["schema"] else [])],
        )
        for name, field in CONNECTION_FIELDS.items()
    }
