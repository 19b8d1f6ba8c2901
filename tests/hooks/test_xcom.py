"""What holds a secret is refused by Airflow's XCom, ``copy`` and ``pickle``, with a remedy and without the secret."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import airflow
import pytest

from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook


def to_xcom(value: Any) -> Any:
    """As the installed Airflow writes a task's result."""
    try:
        from airflow.sdk.bases.xcom import BaseXCom
    except ImportError:  # 2.11
        from airflow.models.xcom import BaseXCom
    return BaseXCom.serialize_value(value)


RESULTS: dict[str, Callable[[AtlasServiceAccountHook], object]] = {
    "token": lambda hook: hook.get_token(),
    "settings": lambda hook: hook.settings,
    "account": lambda hook: hook.settings.account,
    "transport": lambda hook: hook.settings.transport,
    "session": lambda hook: hook.get_conn(),
}


@pytest.mark.parametrize("nested", [lambda value: value, lambda value: [value], lambda value: {"key": value}])
@pytest.mark.parametrize("name", RESULTS)
def test_a_task_s_result_is_refused_and_the_error_says_what_to_do(name, nested, hook, atlas_sandbox, says_nothing):
    # Airflow 2.11 knows no serializers of ours and refuses each of them by itself.
    words = r"must not leave its task in plain text\. \w+|is not JSON serializable"
    with pytest.raises(
        TypeError, match=words if airflow.__version__.startswith("2.") else words.partition("|")[0]
    ) as caught:
        to_xcom(nested(RESULTS[name](hook)))
    says_nothing(caught.value, atlas_sandbox.client_secret, *atlas_sandbox.issued)


def test_a_hook_as_a_task_s_result_is_refused(hook, atlas_sandbox, says_nothing):
    credentials = {"client_id": atlas_sandbox.client_id, "client_secret": atlas_sandbox.client_secret}
    for given in (hook, AtlasServiceAccountHook(**credentials, base_url=atlas_sandbox.url)):
        with pytest.raises(TypeError) as caught:
            to_xcom(given)
        says_nothing(caught.value, atlas_sandbox.client_secret)


@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy, pickle.dumps], ids=["copy", "deepcopy", "pickle"])
@pytest.mark.parametrize("name", RESULTS)
def test_copies_and_pickles_are_refused_and_the_error_says_what_to_do(name, how, hook, atlas_sandbox, says_nothing):
    with pytest.raises(TypeError, match=r"must not leave its task in plain text\. \w+") as caught:
        how(RESULTS[name](hook))
    says_nothing(caught.value, atlas_sandbox.client_secret)
