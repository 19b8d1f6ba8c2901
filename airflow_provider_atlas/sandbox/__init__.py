"""A local stand-in for Atlas, as strict as Atlas, which allows ten token requests a minute: too few for tests."""

from __future__ import annotations

try:
    from airflow_provider_atlas.sandbox.server import Sandbox
except ModuleNotFoundError as err:
    missing = (err.name or "").partition(".")[0]
    if missing not in ("starlette", "uvicorn"):
        raise
    hint = f"the Atlas sandbox needs {missing}: run pip install 'airflow-provider-atlas[sandbox]'"
    raise ImportError(hint, name=missing) from err

from airflow_provider_atlas.sandbox.faults import Fault
from airflow_provider_atlas.sandbox.state import Counters

__all__ = ["Counters", "Fault", "Sandbox"]
