"""Metrics through Airflow's Stats, and the log line of each wait."""

from __future__ import annotations

import logging

from airflow.providers.common.compat.sdk import Stats

from airflow_provider_atlas.exceptions import AtlasError
from airflow_provider_atlas.oauth.retry_after import describe

log = logging.getLogger(__name__)


def count(event: str) -> None:
    """Count ``atlas.token.generated``, ``.reused`` or ``.revoked``."""
    Stats.incr(f"atlas.token.{event}")


def days_left(client_id: str, days: float) -> None:
    """Report ``atlas.secret.days_left``: days until the client secret in use expires, negative once it has."""
    Stats.gauge("atlas.secret.days_left", days, tags={"client_id": client_id})


def waiting(error: AtlasError, seconds: float) -> None:
    """Log a wait for Atlas and count it: ``atlas.token.throttled``, and ``atlas.token.wait`` in milliseconds."""
    log.info("%s", describe(error, seconds))
    Stats.incr("atlas.token.throttled")
    Stats.timing("atlas.token.wait", seconds * 1000)
