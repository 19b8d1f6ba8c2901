"""What Airflow reads about this provider, and the one place that defines its connection form and options.

Airflow 3.2 and later build the form from this dictionary alone; 2.11 to 3.1 ask the hook, which answers from it too.
Loaded by every ``airflow`` command: nothing is imported here.
"""

from __future__ import annotations

from typing import Any

CONNECTION_TYPE = "mongodbatlas"
HOOK_NAME = "MongoDB Atlas service account"
DEFAULT_ALLOWED_HOSTS = "cloud.mongodb.com, cloud.mongodbgov.com, loopback"

#: Fields of the connection's extra: label, what is behind the label, JSON schema.
#: None has a default here: the form would save it, and the deployment's own ([atlas] in airflow.cfg) would not apply.
#: Only ``previous_secret`` and ``proxies`` have names that Airflow treats as secret and shows as ***.
CONNECTION_FIELDS: dict[str, dict[str, Any]] = {
    "cache_scope": {
        "label": "Token scope",
        "description": "Who shares a token: the hooks of one task (task, the default) or the whole deployment.",
        "schema": {"type": ["string", "null"], "enum": ["task", "deployment"]},
    },
    "api_version": {
        "label": "API version",
        "description": "Date of the Administration API version, 2025-03-12 if empty.",
        "schema": {"type": ["string", "null"], "format": "date"},
    },
    "timeout": {
        "label": "Timeout",
        "description": "Seconds that one request may take to connect, and again to respond; 30 if empty.",
        "schema": {"type": ["integer", "null"], "minimum": 1},
    },
    "max_wait": {
        "label": "Longest wait",
        "description": "Seconds that a call may wait for Atlas in all, 300 if empty; 0 waits for other tasks only.",
        "schema": {"type": ["integer", "null"], "minimum": 0},
    },
    "ca_bundle": {
        "label": "CA bundle",
        "description": "Path of a file of CA certificates; only if [atlas] allow_ca_bundle_in_extra is set.",
        "schema": {"type": ["string", "null"]},
    },
    "proxies": {
        "label": "Proxies",
        "description": 'As requests takes them: {"https": "http://proxy.example:3128"}.',
        "schema": {"type": ["string", "object", "null"], "format": "json"},
    },
    "previous_secret": {
        "label": "Previous client secret",
        "description": "The client secret before the last rotation: opens what it sealed, requests no token.",
        "schema": {"type": ["string", "null"], "format": "password"},
    },
}

#: The port is shown because 3.3.1 and 3.3.2 cannot test a connection without one (apache/airflow#73298).
UI_FIELD_BEHAVIOUR: dict[str, Any] = {
    "hidden-fields": ["schema"],
    "relabeling": {"login": "Client ID", "password": "Client secret", "host": "Atlas URL"},
    "placeholders": {
        "login": "mdb_sa_id_...",
        "password": "mdb_sa_sk_...",
        "host": "https://cloud.mongodb.com",
        "port": "enter 443: the Test button needs a port",
    },
}


def get_provider_info() -> dict[str, Any]:
    """Entry point ``apache_airflow_provider``; the form is Airflow's ``provider_info.schema.json``."""
    name = "MongoDB Atlas service accounts"
    package = "airflow_provider_atlas"
    return {
        "package-name": "airflow-provider-atlas",
        "name": name,
        "description": "MongoDB Atlas: clusters, backups, the Administration API; access tokens shared and rotated.",
        "hooks": [{"integration-name": name, "python-modules": [f"{package}.hooks.service_account"]}],
        "operators": [
            {
                "integration-name": name,
                "python-modules": [
                    f"{package}.operators.{module}"
                    for module in ("token", "secret", "api", "cluster", "backup", "search")
                ],
            }
        ],
        "sensors": [
            {
                "integration-name": name,
                "python-modules": [f"{package}.sensors.{module}" for module in ("secret", "api")],
            }
        ],
        "triggers": [
            {
                "integration-name": name,
                "python-modules": [f"{package}.triggers.{module}" for module in ("token", "job")],
            }
        ],
        "extra-links": [f"{package}.operators.link.AtlasLink"],
        "connection-types": [
            {
                "connection-type": CONNECTION_TYPE,
                "hook-class-name": f"{package}.hooks.service_account.AtlasServiceAccountHook",
                "hook-name": HOOK_NAME,
                "conn-fields": CONNECTION_FIELDS,
                "ui-field-behaviour": UI_FIELD_BEHAVIOUR,
            }
        ],
        "config": {
            "atlas": {
                "description": "Defaults for connections to MongoDB Atlas.",
                "options": {
                    "cache_scope": _option("Who shares a token: task or deployment.", "string", "task"),
                    "timeout": _option(
                        "Seconds that a request may take to connect, and again to respond.", "float", "30"
                    ),
                    "allowed_hosts": _option(
                        "Hosts to which connections may lead, separated by commas; loopback is this machine, * is any.",
                        "string",
                        DEFAULT_ALLOWED_HOSTS,
                    ),
                    "ca_bundle": _option("Path of a file of CA certificates, for all connections.", "string", ""),
                    "allow_ca_bundle_in_extra": _option(
                        "Whether a connection's extra may name a CA bundle of its own.", "boolean", "False"
                    ),
                    "max_wait": _option(
                        "Seconds that a call may wait for Atlas in all; 0 waits only for other tasks' requests.",
                        "float",
                        "300",
                    ),
                },
            }
        },
    }


def _option(description: str, kind: str, default: str) -> dict[str, Any]:
    return {
        "description": description,
        "type": kind,
        "default": default,
        "example": None,
        "version_added": "0.1.0",
    }
