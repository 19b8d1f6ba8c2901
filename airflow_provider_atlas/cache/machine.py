"""A note on this machine until when Atlas refuses requests, so that other tasks here need not ask to be refused.

Atlas counts token requests by IP address, so a file reaches exactly the tasks that one rate limit holds back. The file
is empty: its modification time says until when. A wrong note costs a wait, a missing one a refused request.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.retry_after import LONGEST_WAIT


def note_rate_limit(account: ServiceAccount, action: str, until: float) -> None:
    """
    Tell the other tasks that Atlas refuses requests for now.

    :param action: ``generate`` or ``revoke``: each has a rate limit window of its own.
    :param until: epoch seconds.
    """
    # Everybody can write to this directory, so the name may be taken by a link, or by a pipe that nobody reads.
    flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError):
        file = os.open(_path(account, action), flags, 0o600)
        try:
            os.utime(file, (until, until))
        finally:
            os.close(file)


def rate_limited_for(account: ServiceAccount, action: str, now: float) -> float:
    """
    Seconds for which Atlas told a task on this machine to wait; 0 without a note.

    :param now: epoch seconds.
    """
    try:
        found = _path(account, action).lstat()
    except OSError:
        return 0.0
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return 0.0
    left = found.st_mtime - now
    return left if 0 < left < 1.25 * LONGEST_WAIT else 0.0  # nobody notes what is far beyond the longest wait


def _path(account: ServiceAccount, action: str) -> Path:
    name = hashlib.sha256(f"{account.base_url}\n{account.client_id}\n{action}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"airflow-atlas-rate-limit-{os.geteuid()}-{name}"
