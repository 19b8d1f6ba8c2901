"""The sandbox's settings. The class, its documentation and the command line are all made from this one list."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(kw_only=True, eq=False, repr=False)
class Knobs:
    """
    How the sandbox behaves. Every knob can also be changed while it runs.

    :param rate_limit: requests allowed in one window, per client address, service account and token endpoint
    :param window: seconds from the first request of a rate limit window to its end
    :param token_cap: access tokens of one service account that may be active at a time
    :param token_life: lifetime of an access token in seconds
    :param retry_after: how a 429 says when to retry: in seconds, as an HTTP date, or not at all
    :param rate_limit_shape: body of the token endpoints' 429: the OAuth error or the Administration API's
    :param stated_window: seconds that a 429 states as the window in its text; the real window if not set
    :param api_rate_limit: capacity of an account's token bucket at the Administration API; unlimited if not set
    :param api_refill: requests that one refill adds to the bucket
    :param api_refill_seconds: seconds between two refills
    :param page_total: projects in the organization, and clusters in each project
    :param change_seconds: seconds that a cluster takes to be created, changed or deleted
    :param stale_seconds: seconds after a change in which a cluster is still IDLE
    :param job_seconds: seconds that a snapshot, a restore, an export and a search index take
    :param resumed_minutes: minutes that a resumed cluster must run before it can be paused
    :param ip_denied: refuse every client address, as an IP access list without the address does
    :raises ValueError: a knob is out of its range
    """

    rate_limit: int = 10
    window: float = 60.0
    token_cap: int = 100
    token_life: int = 3600
    retry_after: Literal["seconds", "date", "none"] = "seconds"
    rate_limit_shape: Literal["oauth", "api"] = "oauth"
    stated_window: float | None = None
    api_rate_limit: int | None = None
    api_refill: int = 1
    api_refill_seconds: float = 1.0
    page_total: int = 3
    change_seconds: float = 5.0
    stale_seconds: float = 1.0
    job_seconds: float = 5.0
    resumed_minutes: float = 60.0
    ip_denied: bool = False

    def __post_init__(self) -> None:
        times = ("change_seconds", "stale_seconds", "job_seconds", "resumed_minutes")
        for name in ("rate_limit", "token_cap", "page_total", *times):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative")
        for name in ("window", "token_life", "stated_window", "api_rate_limit", "api_refill", "api_refill_seconds"):
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} must be positive")
        if self.retry_after not in ("seconds", "date", "none"):
            raise ValueError("retry_after must be 'seconds', 'date' or 'none'")
        if self.rate_limit_shape not in ("oauth", "api"):
            raise ValueError("rate_limit_shape must be 'oauth' or 'api'")
