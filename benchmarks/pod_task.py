"""What a pod of :mod:`benchmarks.pods` does: it enters its network and calls the Administration API, as a task does."""

from __future__ import annotations

import ctypes
import json
import os
import tempfile
from multiprocessing.queues import SimpleQueue
from multiprocessing.synchronize import Barrier
from typing import Any

import airflow.providers.common.compat.sdk as compat
from airflow.models.variable import Variable

import airflow_provider_atlas.preload  # noqa: F401
from airflow_provider_atlas.exceptions import AtlasError
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

CLONE_NEWNET = 0x40000000
GROUPS = "/api/atlas/v2/groups"


def run(pod: int, connection: dict[str, str], kwargs: dict[str, Any], start: Barrier, ended: SimpleQueue[str]) -> None:
    """
    Run the task, and put `success` or the type of its error into `ended`.

    :param pod: a process in the pod's network namespace.
    :param kwargs: of the hook.
    :param start: all pods make their first request at one moment.
    """
    with open(f"/proc/{pod}/ns/net") as namespace:
        if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
    os.environ["AIRFLOW_CONN_ATLAS_DEFAULT"] = json.dumps(connection)
    # No API server stands between these processes and the metadata database.
    setattr(compat, "Variable", Variable)  # noqa: B010 - it is a lazy attribute
    with tempfile.TemporaryDirectory() as folder:
        tempfile.tempdir = folder  # a pod does not see the others' files
        start.wait()
        try:
            AtlasServiceAccountHook(**kwargs).run(GROUPS)
        except AtlasError as error:
            ended.put(type(error).__name__)
        else:
            ended.put("success")
