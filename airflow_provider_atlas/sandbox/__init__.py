"""A local Atlas, as strict as Atlas, because nobody can test a fleet against the real one's ten requests a minute."""

from __future__ import annotations

try:
    from airflow_provider_atlas.sandbox.server import Sandbox
except ModuleNotFoundError as err:
    missing = (err.name or "").partition(".")[0]
    if missing not in ("starlette", "uvicorn"):
        raise
    hint = f"the Atlas sandbox needs {missing}: run pip install 'airflow-provider-atlas[sandbox]'"
    raise ImportError(hint, name=missing) from err

from airflow_provider_atlas.sandbox.counters import Counters
from airflow_provider_atlas.sandbox.faults import Fault

__all__ = ["Counters", "Fault", "Sandbox"]
