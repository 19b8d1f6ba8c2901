"""The Administration API's paths and methods. A path that is not here is a 404."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote

from airflow_provider_atlas.sandbox import resources, service_accounts
from airflow_provider_atlas.sandbox.responses import ROOT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from airflow_provider_atlas.sandbox.responses import Routes

ROUTES: Routes = {**resources.ROUTES, **service_accounts.ROUTES}
HEX_ID = r"[0-9a-f]{24}"


def _pattern(template: str) -> re.Pattern[str]:
    def group(name: re.Match[str]) -> str:
        is_hex = name[1].endswith("Id") and name[1] != "clientId"
        return f"(?P<{name[1]}>{HEX_ID if is_hex else '[^/]+'})"

    return re.compile(ROOT + re.sub(r"\{(\w+)\}", group, template))


_PATTERNS = {_pattern(template): template for template in ROUTES}


def find(path: str) -> tuple[str, Mapping[str, str]] | None:
    """Return the path's template, and what stands in the path for its names."""
    for pattern, template in _PATTERNS.items():
        if match := pattern.fullmatch(path):
            return template, {name: unquote(value) for name, value in match.groupdict().items()}
    return None


def shown(path: str) -> str:
    """Return the path for a log. A client chooses it, and could put a secret there: only hexadecimal ids are shown."""
    found = find(path)
    if found is None:
        return "(other)"
    template, ids = found
    known = {name: value if re.fullmatch(HEX_ID, value) else f"{{{name}}}" for name, value in ids.items()}
    return ROOT + template.format_map(known)
