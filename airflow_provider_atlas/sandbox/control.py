"""The sandbox's own pages, for those who run it in another process and for those who watch."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_atlas.sandbox.faults import Fault

if TYPE_CHECKING:
    from starlette.requests import Request

    from airflow_provider_atlas.sandbox.state import AtlasState

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width">
<title>Atlas sandbox</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 30rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ width: 100%; border-collapse: collapse; }}
th {{ text-align: left; font-weight: normal; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }}
</style>
</head>
<body>
<h1>Atlas sandbox</h1>
<p>{rate_limit} requests every {window:g} s at each token endpoint, {token_cap} active tokens per service account.</p>
<table>
{rows}
</table>
</body>
</html>
"""


def control_routes(state: AtlasState) -> list[BaseRoute]:
    async def page(_: Request) -> Response:
        knobs, counters = state.knobs, asdict(state.counters())
        rows = (f"<tr><th>{escape(name.replace('_', ' '))}<td>{value}" for name, value in counters.items())
        text = PAGE.format(
            rate_limit=knobs.rate_limit, window=knobs.window, token_cap=knobs.token_cap, rows="\n".join(rows)
        )
        return HTMLResponse(text)

    async def counters(_: Request) -> Response:
        return JSONResponse(asdict(state.counters()))

    async def faults(request: Request) -> Response:
        try:
            wanted: dict[str, Any] = {**json.loads(await request.body())}
            endpoint, times = wanted.pop("endpoint"), wanted.pop("times", 1)
            wanted["body"] = wanted.get("body", "").encode()
            wanted["headers"] = {str(name): str(value) for name, value in wanted.get("headers", {}).items()}
            state.put_fault(endpoint, Fault(**wanted), times)
        except (AttributeError, KeyError, TypeError, ValueError) as err:
            return JSONResponse({"detail": f"not a fault: {err}"}, 400)
        return Response(status_code=204)

    async def reset(_: Request) -> Response:
        state.reset_counters()
        return Response(status_code=204)

    return [
        Route("/", page),
        Route("/_sandbox/counters", counters),
        Route("/_sandbox/faults", faults, methods=["POST"]),
        Route("/_sandbox/reset", reset, methods=["POST"]),
    ]
