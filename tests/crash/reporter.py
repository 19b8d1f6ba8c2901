"""A crash reporter that sends nothing, and the search for secrets in what it would have sent."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import sentry_sdk
from sentry_sdk.envelope import Envelope
from sentry_sdk.integrations.starlette import StarletteIntegration
from sentry_sdk.transport import Transport

from airflow_provider_atlas.sandbox import Sandbox
from harness.leaks import Pattern, forms, needles

PROXY_PASSWORD = "Proxy-Pass/Only+For=Tests"


class Reporter(Transport):
    """sentry-sdk's transport. Keeps the events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[dict[str, Any]] = []

    def capture_envelope(self, envelope: Envelope) -> None:
        self.events += [item.payload.json for item in envelope.items if item.type == "event"]

    def found(self, sandbox: Sandbox) -> set[str]:
        """Which secrets the events contain, in which form."""
        assert self.events, "nothing was reported, so nothing was searched"
        # Airflow reports a connection whose extra is not JSON by itself, with the connection among the variables.
        ours = [event for event in self.events if not event.get("logger", "").startswith("airflow.")]
        return search_for(sandbox).found_in(json.dumps(ours).encode())


@contextmanager
def reporting() -> Iterator[Reporter]:
    """Start sentry-sdk with its default settings, apart from the transport."""
    reporter = Reporter()
    scope = sentry_sdk.get_global_scope()
    before = scope.client
    # The sandbox runs in this process and stands for another machine.
    sentry_sdk.init(
        dsn="https://key@sentry.example/1", transport=reporter, disabled_integrations=[StarletteIntegration()]
    )
    try:
        yield reporter
    finally:
        scope.set_client(before)


def report(call: Callable[[], object]) -> BaseException | None:
    """Call as a user's code does that reports every error. This frame and its caller's hold no secret."""
    try:
        call()
    except BaseException as error:  # noqa: BLE001 - reported
        sentry_sdk.capture_exception(error)
        return error
    return None


def report_by_log(call: Callable[[], object]) -> None:
    """As :func:`report`, by the log, as Airflow reports the error of a task."""
    try:
        call()
    except BaseException:
        logging.getLogger("dag").exception("The call failed")


def search_for(sandbox: Sandbox) -> Pattern:
    """
    The client secret, the pair, each token that was ever issued, and the proxy's password, in whatever form.

    Of a token a piece is enough: reporters cut long texts.
    """
    pair = f"{sandbox.client_id}:{sandbox.client_secret}"
    known = needles(sandbox.client_id, sandbox.client_secret, sandbox.issued)
    pieces = {f"piece of token {number}": forms(value[80:112]) for number, value in enumerate(sandbox.issued, 1)}
    more = {"pair": forms(pair), "proxy password": forms(PROXY_PASSWORD)}
    return Pattern({**known, **pieces, **more})
