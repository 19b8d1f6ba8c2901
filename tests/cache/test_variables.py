"""Airflow's Variables with the signatures of both major versions. Every failure becomes one error type."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.cache.variables import Variables
from airflow_provider_atlas.exceptions import StoreUnavailable
from tests.conftest import TOKEN


class Airflow3:
    texts: dict[str, str] = {}

    @classmethod
    def get(cls, key, default="raise", deserialize_json=False):
        return cls.texts.get(key, default)

    @classmethod
    def set(cls, key, value, description=None, serialize_json=False):
        assert description
        cls.texts[key] = value

    @classmethod
    def delete(cls, key):
        cls.texts.pop(key, None)


class Airflow2(Airflow3):
    @classmethod
    def get(cls, key, default_var="raise", deserialize_json=False):
        return cls.texts.get(key, default_var)


class Broken:
    def get(self, *args, **kwargs):
        raise RuntimeError(f"cannot connect to postgres://{TOKEN}")

    set = delete = get


@pytest.fixture(params=[Airflow2, Airflow3])
def variables(request, mocker):
    request.param.texts.clear()
    mocker.patch("airflow.providers.common.compat.sdk.Variable", request.param, create=True)
    return Variables()


def test_a_written_value_is_read_until_it_is_removed(variables):
    assert variables.read("name") is None
    variables.write("name", "text")
    assert variables.read("name") == "text"
    variables.remove("name")
    assert variables.read("name") is None


@pytest.mark.parametrize("call", [("read", "name"), ("write", "name", "text"), ("remove", "name")])
def test_any_failure_raises_store_unavailable_and_does_not_quote_its_cause(call, mocker, says_nothing):
    mocker.patch("airflow.providers.common.compat.sdk.Variable", Broken(), create=True)
    with pytest.raises(StoreUnavailable, match="RuntimeError") as caught:
        getattr(Variables(), call[0])(*call[1:])
    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    says_nothing(caught.value, TOKEN)
