"""The URLs: Atlas's endpoints, with counters and faults on demand, and the sandbox's own pages."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from html import escape
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import BaseRoute, Route

from airflow_provider_atlas.sandbox.administration import administer
from airflow_provider_atlas.sandbox.faults import JOB_ENDS, METHODS, perform
from airflow_provider_atlas.sandbox.oauth import generate, revoke
from airflow_provider_atlas.sandbox.requests import AtlasRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from starlette.requests import Request

    from airflow_provider_atlas.sandbox.faults import Connections
    from airflow_provider_atlas.sandbox.responses import AtlasResponse
    from airflow_provider_atlas.sandbox.state import AtlasState

    Endpoint = Callable[[AtlasState, AtlasRequest], AtlasResponse]

PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="refresh" content="2">
<meta name="viewport" content="width=device-width">
<title>Atlas sandbox</title>
<style>
:root {{ color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }}
body {{ max-width: 40rem; margin: 2rem auto; padding: 0 1rem; }}
table {{ width: 100%; border-collapse: collapse; }}
th {{ text-align: left; font-weight: normal; }}
td {{ text-align: right; font-variant-numeric: tabular-nums; }}
tr {{ border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }}
</style>
</head>
<body>
<h1>Atlas sandbox</h1>
<p>{knobs.rate_limit} requests every {knobs.window:g} s at each token endpoint, \
{knobs.token_cap} active tokens per service account.</p>
{tables}
</body>
</html>
"""


#: Clusters and jobs that the page shows at most: the last ones.
SHOWN = 100


def table(title: str, values: Mapping[str, object]) -> str:
    rows = "\n".join(f"<tr><th>{escape(name)}<td>{value}" for name, value in values.items())
    return f"<h2>{title}</h2>\n<table>\n{rows}\n</table>\n" if rows else ""


def build(atlas: AtlasState, connections: Connections) -> Starlette:
    """Return the ASGI app. A fault may close one of the ``connections``."""

    def route(path: str, name: str, endpoint: Endpoint, method: str | None = None) -> BaseRoute:
        async def handle(http: Request) -> Response:
            atlas.count(f"{name}_requests")
            request = AtlasRequest(
                path=http.scope["raw_path"].decode("ascii", "replace"),
                method=http.method,
                address=http.client.host if http.client else "",
                headers=http.headers,
                query=http.query_params,
                body=await http.body(),
                base_url=str(http.base_url).rstrip("/"),
            )
            fault = atlas.take_fault(name, request)
            if fault and fault.kind in JOB_ENDS:
                request, fault = replace(request, job_end=JOB_ENDS[fault.kind]), None
            if fault and fault.kind != "lost" and (faulty := await perform(fault, http, connections, atlas.clock())):
                return faulty
            if method and http.method != method:
                return Response("Method Not Allowed", 405, {"Allow": method})
            response = endpoint(atlas, request)
            if fault and fault.kind == "lost" and (lost := await perform(fault, http, connections, atlas.clock())):
                return lost
            return response.to_http(atlas.clock(), pretty=request.flag("pretty"), envelope=request.flag("envelope"))

        return Route(path, handle, methods=list(METHODS))

    app = Starlette(
        routes=[
            route("/api/oauth/token", "token", generate, "POST"),
            route("/api/oauth/revoke", "revoke", revoke, "POST"),
            route("/api/atlas/{rest:path}", "api", administer),
            *own_pages(atlas),
        ]
    )
    # Starlette redirects a path with a trailing slash. Atlas does not have such paths.
    app.router.redirect_slashes = False
    return app


def own_pages(atlas: AtlasState) -> list[BaseRoute]:
    """Return the page of counters, and the URLs that control a sandbox in another process."""

    async def page(_: Request) -> Response:
        with atlas.lock:
            now = atlas.clock()
            counts = {name.replace("_", " "): value for name, value in asdict(atlas.counters).items()}
            changed = [each for clusters in atlas.clusters.values() for each in clusters.values() if each.changed(now)]
            clusters = {
                f"{each.name} of project-{each.project}": each.state(now) + " paused" * each.is_paused(now)
                for each in changed[-SHOWN:]
            }
            started = list(atlas.jobs.values())[-SHOWN:]
            jobs = {f"{each.kind} {each.id} of {each.cluster.name}": each.phase(now) for each in reversed(started)}
        tables = table("Clusters that changed", clusters) + table("Jobs", jobs) + table("Counters", counts)
        return HTMLResponse(PAGE.format(knobs=atlas, tables=tables))

    async def counters(_: Request) -> Response:
        return JSONResponse(asdict(atlas.counters))

    async def faults(request: Request) -> Response:
        try:
            order: dict[str, Any] = {**json.loads(await request.body())}
            order["body"] = order.get("body", "").encode()
            order["headers"] = {str(name): str(value) for name, value in order.get("headers", {}).items()}
            atlas.fail_next(**order)
        except (AttributeError, TypeError, ValueError) as err:
            return JSONResponse({"detail": f"the fault is not valid: {err}"}, 400)
        return Response(status_code=204)

    async def reset(_: Request) -> Response:
        atlas.reset_counters()
        return Response(status_code=204)

    return [
        Route("/", page),
        Route("/_sandbox/counters", counters),
        Route("/_sandbox/faults", faults, methods=["POST"]),
        Route("/_sandbox/reset", reset, methods=["POST"]),
    ]
