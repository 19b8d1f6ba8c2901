"""Imports what tasks with this provider and their DAG files import, once in Airflow's processes and not in each task.

Each task is a fresh fork of a process that has not imported ``requests`` and the rest, and importing them is most of
what a short task costs. One line in ``airflow_local_settings.py``, which every process imports at its start::

    import airflow_provider_atlas.preload  # noqa: F401

This module imports, and does nothing else: no thread, socket or connection may exist before a fork.
"""

from __future__ import annotations

import netrc  # noqa: F401 - as the next one

import idna  # noqa: F401 - `requests` loads it with the first request
import jinja2.ext  # noqa: F401 - Airflow loads it to render the first template
import requests  # noqa: F401
from airflow.providers.common.compat.sdk import dag, task  # noqa: F401 - every DAG file imports them
from cryptography.fernet import Fernet  # noqa: F401
from cryptography.hazmat.primitives.kdf.hkdf import HKDF  # noqa: F401

import airflow_provider_atlas.api.session
import airflow_provider_atlas.cache.deployment
import airflow_provider_atlas.hooks.service_account
import airflow_provider_atlas.oauth.client
import airflow_provider_atlas.operators.api
import airflow_provider_atlas.operators.backup
import airflow_provider_atlas.operators.cluster
import airflow_provider_atlas.operators.search
import airflow_provider_atlas.operators.token
import airflow_provider_atlas.sensors.api
import airflow_provider_atlas.triggers.job
import airflow_provider_atlas.triggers.token  # noqa: F401
