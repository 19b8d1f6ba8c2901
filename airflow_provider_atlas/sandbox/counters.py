"""What a demo and a test measure: how often clients asked, and what they got."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Counters:
    """
    A snapshot. It counts what clients did, not what the sandbox's owner did through Python.

    :param token_requests: requests to the token endpoint, whatever came of them
    :param issued: access tokens handed out
    :param credentials_refused: answers of a token endpoint to credentials that are not valid (400 and 401)
    :param rate_limited: 429 answers of both token endpoints
    :param cap_refused: 403 answers because of too many active tokens
    :param revoke_requests: requests to the revocation endpoint, whatever came of them
    :param revoked: tokens that were live when a client revoked them
    :param active: tokens that are active now, of all accounts
    :param api_requests: requests to the Administration API, whatever came of them
    :param api_unauthorized: 401 answers of the Administration API
    :param api_rate_limited: 429 answers of the Administration API
    :param faults: requests that met a fault on demand
    """

    token_requests: int = 0
    issued: int = 0
    credentials_refused: int = 0
    rate_limited: int = 0
    cap_refused: int = 0
    revoke_requests: int = 0
    revoked: int = 0
    active: int = 0
    api_requests: int = 0
    api_unauthorized: int = 0
    api_rate_limited: int = 0
    faults: int = 0
