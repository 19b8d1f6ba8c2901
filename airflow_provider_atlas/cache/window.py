"""What one task has learned of Atlas's rate window, for the others on its machine: they need not ask to be refused.

Atlas counts token requests by IP address, so a file tells just those whom the window holds. The file is empty: the time
of its last change says until when the window is closed. A wrong one costs a wait, a missing one a refused request.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from contextlib import suppress
from pathlib import Path

from airflow_provider_atlas.oauth.account import ServiceAccount
from airflow_provider_atlas.oauth.limits import LONGEST_WAIT


def close(account: ServiceAccount, action: str, until: float) -> None:
    """
    Tell the others that the window is closed.

    :param action: ``generate`` or ``revoke``: each has a window of its own.
    :param until: epoch seconds.
    """
    # Where everybody may write, something else may wait under this name: a link, or a pipe that nobody reads.
    flags = os.O_CREAT | os.O_WRONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    with suppress(OSError):
        file = os.open(_path(account, action), flags, 0o600)
        try:
            os.utime(file, (until, until))
        finally:
            os.close(file)


def closed_for(account: ServiceAccount, action: str, now: float) -> float:
    """
    Seconds for which Atlas has told somebody on this machine not to ask; 0 if nobody knows of any.

    :param now: epoch seconds.
    """
    try:
        found = _path(account, action).lstat()
    except OSError:
        return 0.0
    if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid():
        return 0.0
    return min(max(found.st_mtime - now, 0.0), LONGEST_WAIT)


def _path(account: ServiceAccount, action: str) -> Path:
    name = hashlib.sha256(f"{account.base_url}\n{account.client_id}\n{action}".encode()).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"airflow-atlas-window-{os.geteuid()}-{name}"
