"""The connection form's further fields for Airflow 2.11 to 3.1: WTForms widgets."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def widgets(fields: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """
    Make a widget of each field.

    :param fields: as in :data:`airflow_provider_atlas.get_provider_info.CONNECTION_FIELDS`.
    """
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import StringField
    from wtforms.validators import Optional, any_of

    # Airflow drops the whole hook if a field is not a text, number, password or checkbox, and it loses a 0 in a number
    # field when a connection is edited. 3.1 makes a dropdown of ``any_of``.
    return {
        name: StringField(
            field["label"],
            description=field["description"],
            widget=BS3TextFieldWidget(),
            validators=[Optional(), *([any_of(field["schema"]["enum"])] if "enum" in field["schema"] else [])],
        )
        for name, field in fields.items()
    }
