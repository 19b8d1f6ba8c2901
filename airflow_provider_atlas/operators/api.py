"""Any resource of the Administration API as a task: read it, change it, and wait for what the change starts."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.api.obstacles import READS
from airflow_provider_atlas.api.urls import fill, query
from airflow_provider_atlas.conditions import FOUND, Condition, check_given, check_rendered, leaves
from airflow_provider_atlas.operators.cluster import SETTLES
from airflow_provider_atlas.operators.job import AtlasJobOperator, Plan

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context


_CLUSTER = re.compile(r"/groups/[^/?]+/clusters/[^/?]+(\?|$)")


class AtlasOperator(AtlasJobOperator):
    """
    Call the Administration API, and wait until a condition holds.

    With GET it looks at ``endpoint``. With PATCH, PUT and DELETE it makes the change and then looks at ``endpoint``;
    with POST, at what the response says was made. Returns the response, or with ``until`` the last one that it saw.

    A change is made once: a retry of the task first looks whether an earlier try made it, in the list at ``endpoint``
    after a POST. Clear the task to make it anew. Without ``until`` a retry sends PATCH and PUT again.

    .. seealso:: MongoDB Atlas documentation, "Atlas Administration API".

    :param endpoint: path such as ``/api/atlas/v2/groups/{groupId}/clusters/{clusterName}``.
    :param method: HTTP method.
    :param path: values for the names in ``endpoint``.
    :param json: body of the change.
    :param query_params: query parameters. (``params`` is Airflow's own argument of every operator.)
    :param until: what must hold, see :mod:`airflow_provider_atlas.conditions`; ``{"$found": False}`` waits for a 404.
    :param fail_if: what means that it cannot hold any more. It is looked at first.
    :param returns: name of a field of the response, or a list of names; all of it if left out.
    :param watch: with POST, what to look at where it is not what the response names: ``endpoint`` itself, if Atlas has
        only one of its kind. A retry takes what is there for its own if it has the fields of ``json``.
    :param atlas_conn_id: id of the connection.
    :param poll_interval: seconds between two looks; it grows slowly, up to four times itself.
    :param max_wait: seconds for the whole job.
    :param deferrable: wait in the triggerer; default from ``[operators] default_deferrable``.
    :raises AtlasJobFailed: if ``fail_if`` holds.
    :raises AtlasJobTimeout: if ``until`` does not hold within ``max_wait``.
    :raises AtlasChangeRefused: if Atlas refuses for a reason that does not pass.
    """

    template_fields: Sequence[str] = (
        "endpoint",
        "path",
        "json",
        "query_params",
        "until",
        "fail_if",
        "returns",
        "watch",
        "atlas_conn_id",
    )

    def __init__(
        self,
        *,
        endpoint: str,
        method: str = "GET",
        path: Mapping[str, Any] | None = None,
        json: Any = None,
        query_params: Mapping[str, Any] | None = None,
        until: Condition | None = None,
        fail_if: Condition | None = None,
        returns: str | Sequence[str] | None = None,
        watch: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        given = {"until": until, "fail_if": fail_if}
        self._given = check_given(**{name: each for name, each in given.items() if each is not None})
        if watch is not None and (method.upper() != "POST" or until is None):
            raise ValueError("watch needs method POST and until: any other request is watched at its endpoint")
        if fail_if is not None and until is None:
            raise ValueError("fail_if needs until: without it the task waits for nothing")
        self.endpoint = endpoint
        self.method = method
        self.path = path
        self.json = json
        self.query_params = query_params
        self.until = until
        self.fail_if = fail_if
        self.returns = returns
        self.watch = watch

    def _plan(self, context: Context) -> Plan:
        method, endpoint = self.method.upper(), fill(self.endpoint, self.path)
        check_rendered(self, self._given)
        watched, wish = endpoint, None
        if method == "DELETE":
            wish = {FOUND: False}
        elif method == "POST":
            watched = fill(self.watch, self.path) if self.watch else ""
            wish = {FOUND: True, **leaves(self.json)} if self.watch else None
        elif method not in READS and self.until is not None:
            wish = leaves(self.json, whole=True) or None
        return Plan(
            endpoint=endpoint,
            method=method,
            json=self.json,
            params=query(self.query_params),
            watched=watched,
            until=self.until,
            fail_if=self.fail_if or {},
            returns=self.returns,
            wish=wish,
            same=leaves(self.json) or None if method == "POST" else None,
            settles=SETTLES if method not in READS and _CLUSTER.search(endpoint) else 0.0,
        )
