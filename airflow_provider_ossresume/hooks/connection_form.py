"""The connection form of Airflow 2.11, 3.0 and 3.1, built from the provider's metadata.

These versions get the form from the hook. Airflow 3.2 and later read the metadata.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from airflow_provider_ossresume._airflow import UNCHANGED_SECRET
from airflow_provider_ossresume.get_provider_info import CONN_FIELDS, UI_FIELD_BEHAVIOUR


def field_behaviour() -> dict[str, Any]:
    """Return the labels and placeholders of the standard fields."""
    return {name.replace("-", "_"): value for name, value in UI_FIELD_BEHAVIOUR.items()}


def connection_form_widgets() -> dict[str, Any]:
    """Return the form's own fields, by name, as wtforms fields.

    Airflow 3.0 and 3.1 replace wtforms fields with their own, so only kinds that they support are used. They show
    ``any_of`` as a choice. 2.11 shows a text field, and checks its value.
    """
    return {name: _field(declared) for name, declared in CONN_FIELDS.items()}


def _field(declared: Mapping[str, Any]) -> Any:
    from flask_appbuilder.fieldwidgets import BS3TextFieldWidget
    from wtforms import IntegerField, PasswordField, StringField
    from wtforms.validators import Optional, any_of

    schema, label, description = declared["schema"], declared["label"], declared["description"]
    if schema.get("format") == "password":
        return PasswordField(label, [Optional()], description=description, widget=_secret_widget())
    if "integer" in schema["type"]:
        return IntegerField(label, [Optional()], description=description, widget=BS3TextFieldWidget())
    validators, default = [Optional()], schema.get("default")
    if choices := schema.get("enum"):
        validators.append(any_of(choices))
        description = f"{description} One of {', '.join(choices)}."
    return StringField(label, validators, description=description, widget=BS3TextFieldWidget(), default=default)


def _secret_widget() -> Any:
    """Return a password widget that keeps a stored secret if the form is saved without changing it.

    On 2.11 an empty field deletes the secret, and the password widget of Flask-AppBuilder is always empty.
    """
    from flask_appbuilder.fieldwidgets import BS3PasswordFieldWidget

    class SecretWidget(BS3PasswordFieldWidget):  # type: ignore[misc]  # untyped
        def __init__(self) -> None:
            self.hide_value = False  # it shows a placeholder, not the secret

        def __call__(self, field: Any, **attributes: Any) -> Any:
            is_stored = field.data and field.raw_data in (None, [], [UNCHANGED_SECRET])
            return super().__call__(field, **attributes, value=UNCHANGED_SECRET if is_stored else "")

    return SecretWidget()
