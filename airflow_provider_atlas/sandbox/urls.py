"""The Administration API's paths and methods. A path that is not here is a 404."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_atlas.sandbox import backups, clusters, resources, search, service_accounts
from airflow_provider_atlas.sandbox.bodies import HEX_ID
from airflow_provider_atlas.sandbox.responses import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from airflow_provider_atlas.sandbox.responses import Routes

ROUTES: Routes = {
    **resources.ROUTES,
    **service_accounts.ROUTES,
    **clusters.ROUTES,
    **backups.ROUTES,
    **search.ROUTES,
}


def _pattern(template: str) -> re.Pattern[str]:
    def group(name: re.Match[str]) -> str:
        is_hex = name[1].endswith("Id") and name[1] != "clientId"
        return f"(?P<{name[1]}>{HEX_ID.pattern if is_hex else '[^/]+'})"

    return re.compile(ROOT + re.sub(r"\{(\w+)\}", group, template))


_PATTERNS = {_pattern(template): template for template in ROUTES}


def find(path: str) -> tuple[str, Mapping[str, str]] | None:
    """Return the path's template, and what stands in the path for its names."""
    for pattern, template in _PATTERNS.items():
        if match := pattern.fullmatch(path):
            return template, {name: unquote(value) for name, value in match.groupdict().items()}
    return None


def shown(path: str, is_name: Callable[[str], bool]) -> str:
    """Return the path for a log. A client could put a secret there: only ids and known names are shown."""
    template, ids = find(path) or ("", {})
    safe = {name: value if is_name(value) or HEX_ID.fullmatch(value) else f"{{{name}}}" for name, value in ids.items()}
    return ROOT + template.format_map(safe) if template else "(other)"
