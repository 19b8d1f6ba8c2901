"""How often refusals by the Administration API may cause a new token: once a minute for each cache or store.

A new token that is refused as well lacks rights, and a fleet without rights must not use up the active tokens.
"""

from __future__ import annotations

#: Clocks of workers may differ by so many seconds.
SKEW = 900.0
#: Refusals may cause one new token in this many seconds.
REFUSAL_PAUSE = 60.0


def may_request(last: float, now: float) -> bool:
    """
    Whether a refusal may cause a new token.

    :param last: when a refusal last caused one, epoch seconds. A time in the near future is another worker's clock.
    :param now: epoch seconds.
    """
    return not now - REFUSAL_PAUSE < last < now + SKEW
