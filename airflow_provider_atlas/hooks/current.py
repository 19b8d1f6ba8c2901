"""The settings that a hook works with now, and when it switches to those of another client secret.

A client secret can be replaced while a task runs: by a rotation, by a secrets manager, or by hand. Deleting the old one
revokes its tokens at once. Three refusals can mean that, and each has the connection read once more:

- Atlas does not accept the client id and secret.
- A sealed token does not open: a task that started later has sealed it.
- The Administration API refuses the token. The look at the connection comes first: a fleet that requested tokens with a
  secret that is gone would use up the rate limit.

If the connection has another client secret by now, everything that works with these settings switches to it together,
and the call goes on. Else the refusal stands. The trigger, which reads connections on an event loop, asks the same two
functions: :func:`may_have_changed` and :func:`successor`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import TypeVar

from airflow_provider_atlas.exceptions import AtlasError, InvalidClient, InvalidSealedToken
from airflow_provider_atlas.hooks.settings import Settings
from airflow_provider_atlas.oauth.token import StaysInProcess

T = TypeVar("T")
log = logging.getLogger(__name__)

#: The errors that a rotation can cause.
REFUSALS = (InvalidClient, InvalidSealedToken)
#: A secret that Atlas refuses and that the connection still has is looked up again after so many seconds: a triggerer
#: lives for weeks, and in it the connection may be corrected.
PAUSE = 60.0
#: So many earlier secrets open sealed tokens.
REMEMBERED = 4

_unchanged: dict[tuple[str, str], float] = {}  # connection and fingerprint -> when it was last found unchanged


class CurrentSettings(StaysInProcess):
    """
    The settings of a connection, read when they are first needed.

    :param conn_id: id of the connection.
    :param read: reads it.
    :param stored: whether it is a stored connection. Credentials that a hook was given do not change.
    """

    def __init__(self, conn_id: str, read: Callable[[], Settings], *, stored: bool = True) -> None:
        self._conn_id = conn_id
        self._read = read
        self._stored = stored
        self._lock = threading.Lock()
        self._settings: Settings | None = None
        self._refused_token = ""  # the last one that the connection was read for

    @property
    def settings(self) -> Settings:
        """The settings in use."""
        if self._settings is None:  # `cached_property` has a frame that shows this object's variables
            self._settings = self._read()
        return self._settings

    def call(self, function: Callable[[Settings], T]) -> T:
        """Call with the settings in use, and again with the next ones if their client secret was replaced."""
        while True:
            settings = self.settings
            try:
                return function(settings)
            except REFUSALS as error:
                if not self.goes_over(settings, error):
                    raise

    def goes_over(self, used: Settings, error: BaseException) -> bool:
        """
        Go over to the connection's settings if they have another client secret by now.

        :param used: what was refused.
        :param error: the refusal.
        :return: whether other settings are in use now, perhaps since another thread switched.
        """
        if not (self._stored and isinstance(error, REFUSALS)):
            return False
        with self._lock:
            if self.settings is not used:
                return True
            if not may_have_changed(self._conn_id, used, error):
                return False
            return self._read_again(used, error)

    def token_refused(self, used: Settings, value: str) -> None:
        """
        Go over, as :meth:`goes_over` does, since the Administration API refuses a token. One look for each token.

        :param used: the settings when the token was refused.
        :param value: the token's text.
        """
        if self._stored:
            with self._lock:
                if self.settings is used and self._refused_token != value:
                    self._refused_token = value
                    with suppress(AtlasError):  # the secret in use may be good for another token
                        self._read_again(used)

    def _read_again(self, used: Settings, error: BaseException | None = None) -> bool:
        other = successor(self._conn_id, used, self._read(), error)
        self._settings = other or used
        return other is not None


def may_have_changed(conn_id: str, used: Settings, error: BaseException) -> bool:
    """
    Whether to read the connection once more.

    :param used: the settings that the refused request was made with.
    :param error: one of :data:`REFUSALS`.
    """
    last = _unchanged.get((conn_id, used.account.fingerprint))
    return isinstance(error, InvalidSealedToken) or last is None or time.monotonic() - last >= PAUSE


def successor(conn_id: str, used: Settings, read: Settings, error: BaseException | None = None) -> Settings | None:
    """
    The settings to switch to; ``None`` if the refusal stands.

    They open what the earlier secrets sealed. A connection that leads to another Atlas URL by now is not followed: the
    token must not go there.

    :param read: what the connection holds now.
    :param error: the refusal. A secret that Atlas does not accept is not looked up again for a minute.
    """
    if read.account == used.account or read.account.base_url != used.account.base_url:
        if isinstance(error, InvalidClient):
            now = time.monotonic()
            for key in [key for key, moment in list(_unchanged.items()) if now - moment >= PAUSE]:
                _unchanged.pop(key, None)
            _unchanged[conn_id, used.account.fingerprint] = now
        return None
    log.info("The connection %s has another client secret now. This task switches to it.", conn_id)
    earlier = dict.fromkeys((*read.previous, used.account, *used.previous))
    return replace(read, previous=tuple(account for account in earlier if account != read.account)[:REMEMBERED])
