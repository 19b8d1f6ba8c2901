"""The link "Open in Atlas" of each task: the page of the cluster or the project that the task is about."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote

from airflow.providers.common.compat.sdk import BaseOperatorLink, XCom

if TYPE_CHECKING:
    from airflow.providers.common.compat.sdk import Context

    from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook

_PLACE = re.compile(r"/groups/([^/?]+)(?:/(clusters|flexClusters)/([^/?]+))?")


def page(base_url: str, endpoint: str) -> str:
    """The page in Atlas about what an endpoint of the Administration API is about."""
    found = _PLACE.search(endpoint)
    if found is None:
        return base_url
    project, kind, cluster = found.groups()
    view = f"detail/{quote(unquote(cluster), safe='')}" if kind else ""
    return f"{base_url}/v2/{project}#/clusters" + (f"/{view}" if view else "")


class AtlasLink(BaseOperatorLink):
    """Airflow 3 reads the address from XCom by itself; 2.11 asks :meth:`get_link` in its webserver."""

    name = "Open in Atlas"

    @property
    def xcom_key(self) -> str:
        """Key of the address in XCom."""
        return "_link_AtlasLink"

    def show(self, context: Context, operator: Any, hook: AtlasServiceAccountHook, endpoint: str) -> None:
        """
        Show the address while the task waits: Airflow asks for it only at the end of a process.

        :param endpoint: what the task is about.
        """
        operator.atlas_url = url = page(hook.settings.account.base_url, endpoint)
        if "ti" in context:
            context["ti"].xcom_push(key=self.xcom_key, value=url)

    def get_link(self, operator: Any, *, ti_key: Any) -> str:
        """See ``BaseOperatorLink``."""
        url = getattr(operator, "atlas_url", "")
        if not url and not hasattr(BaseOperatorLink, "xcom_key"):  # 2.11
            url = XCom.get_value(ti_key=ti_key, key=self.xcom_key)
        return url or ""
