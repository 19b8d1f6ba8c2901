"""The thin layer of HTTP: requests become calls, rules answer them, faults on demand get in between."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from airflow_provider_atlas.sandbox.administration import administer
from airflow_provider_atlas.sandbox.answers import Answer, oauth_error
from airflow_provider_atlas.sandbox.call import Call
from airflow_provider_atlas.sandbox.control import control_routes
from airflow_provider_atlas.sandbox.oauth import generate, revoke
from airflow_provider_atlas.sandbox.state import AtlasState
from airflow_provider_atlas.sandbox.wire import Connections, respond

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.types import Receive, Scope, Send

    from airflow_provider_atlas.sandbox.faults import Fault

#: Faults are for every method, rules for one.
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE"]

Rule = Callable[[AtlasState, Call], Answer]


def build(state: AtlasState, connections: Connections) -> Starlette:
    """Return the ASGI app over a state; ``connections`` are those that it may close for a fault."""

    def route(path: str, method: str, endpoint: str, counter: str, rule: Rule) -> BaseRoute:
        async def handle(request: Request) -> Response:
            state.count(counter)
            call = await read_call(request)
            fault = state.take_fault(endpoint)
            if fault is not None:
                state.count("faults")
                if (faulty := await act_out(fault, request, connections)) is not None:
                    return faulty
            if request.method != method:
                return Response("Method Not Allowed", 405, {"Allow": method})
            with state.lock:
                answer = rule(state, call)
            return respond(answer, state.clock(), pretty=call.flag("pretty"), envelope=call.flag("envelope"))

        return Route(path, handle, methods=METHODS)

    app = Starlette(
        routes=[
            route("/api/oauth/token", "POST", "token", "token_requests", generate),
            route("/api/oauth/revoke", "POST", "revoke", "revoke_requests", revoke),
            route("/api/atlas/{rest:path}", "GET", "api", "api_requests", administer),
            *control_routes(state),
        ]
    )
    # Starlette would answer a trailing slash with a redirect; Atlas has no such page.
    app.router.redirect_slashes = False
    return app


async def read_call(request: Request) -> Call:
    return Call(
        path=request.scope["path"],
        address=request.client.host if request.client else "",
        headers=request.headers,
        query=request.query_params,
        body=await request.body(),
        base_url=str(request.base_url).rstrip("/"),
    )


async def act_out(fault: Fault, request: Request, connections: Connections) -> Response | None:
    """Do what the fault says; None where the request is to be answered after all."""
    if fault.kind == "answer":
        if fault.status is None:
            return Response(json.dumps(oauth_error("server_error").content), 500, media_type="application/json")
        return Response(fault.body, fault.status, fault.headers)
    if fault.kind == "drop" and request.client:
        connections[request.client.host, request.client.port].close()
    try:
        await asyncio.wait_for(_hung_up(request), fault.seconds)
    except TimeoutError:
        return None
    return HungUp()


class HungUp(Response):
    """What is sent when nobody listens any more: nothing."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send nothing; the server knows that the client has gone."""


async def _hung_up(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass  # pragma: no cover - servers may send an empty last piece of the body first
