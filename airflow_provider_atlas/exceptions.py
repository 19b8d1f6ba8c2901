"""Every error of this provider, once, as a type with data.

Errors that no retry cures are ``AirflowFailException`` s, so that Airflow does not spend retries and a worker slot on
them. Each type says what the reader of the log should do next (``remedy``). Texts from Atlas are scrubbed before they
get here (see ``airflow_provider_atlas.oauth.responses.words``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from airflow.providers.common.compat.sdk import AirflowFailException, AirflowNotFoundException


class AtlasError(Exception):
    """
    Base of all errors of this provider.

    :param summary: what happened, one sentence without a full stop; each type has its own default.
    :param status: HTTP status of Atlas's response, ``None`` without a response. The status in an envelope wins.
    :param error: Atlas's code, ``error`` or ``errorCode`` of the body.
    :param description: Atlas's words, ``error_description`` or ``detail`` of the body.
    """

    summary = "The exchange with Atlas failed"
    remedy = ""
    retry_after: float | None = None

    def __init__(
        self,
        summary: str | None = None,
        *,
        status: int | None = None,
        error: str | None = None,
        description: str | None = None,
    ) -> None:
        super().__init__(summary or self.summary)
        self.status = status
        self.error = error
        self.description = description
        self.waited: float | None = None  # seconds, set by the code that stopped waiting
        self.unknown_effect = False  # of a change: Atlas may have made it; set by the code that sent it
        self.told = False  # whether the log has its remedy; set on the way out of this package

    def __str__(self) -> str:
        sentence = self._sentence(f"HTTP {self.status}" if self.status else "")
        waited = f" Waited {self.waited:.0f} s in all." if self.waited else ""
        effect = " Atlas may have made the change: look before you request it again." if self.unknown_effect else ""
        return f"{sentence}.{waited}{effect} {self.remedy}".rstrip()

    def _sentence(self, status: str) -> str:
        code = " ".join(filter(None, (status, self.error)))
        response = ": ".join(filter(None, (code, self.description)))
        return f"{self._cause()} ({response})" if response else self._cause()

    def _cause(self) -> str:
        return str(self.args[0])


class InvalidConnection(AtlasError, AirflowFailException):
    """A field of the connection is wrong. Nothing was sent to Atlas."""

    summary = "The Atlas connection cannot be used"


class ConnectionNotFound(AtlasError, AirflowNotFoundException):
    """The connection was not found. It may exist: a secrets backend that fails once looks the same to a task."""

    summary = "The Atlas connection was not found"
    remedy = "Check the connection id, and the secrets backend if the connection exists."


class InvalidCall(AtlasError, AirflowFailException):
    """The call is not possible. Nothing was sent to Atlas, unless the error is about a redirect."""

    summary = "The call to Atlas is not possible"


class InvalidRequest(AtlasError, AirflowFailException):
    """400 ``invalid_request``: Atlas says that the credentials are not valid."""

    summary = "Atlas refused the credentials as not valid"
    remedy = "Check Client ID and Client secret of the connection."


class UnsupportedGrantType(AtlasError, AirflowFailException):
    """400 ``unsupported_grant_type``: something on the way changed the request."""

    summary = "Atlas did not receive the grant type client_credentials"
    remedy = "Check that the Atlas URL is Atlas's own and that no proxy rewrites requests."


class InvalidGrant(AtlasError, AirflowFailException):
    """400 ``invalid_grant``: the service account must not use this grant."""

    summary = "Atlas refused the grant"
    remedy = "Check in Atlas that the service account still exists and is enabled."


class InvalidClient(AtlasError, AirflowFailException):
    """401: the client id or the client secret is wrong."""

    summary = "Atlas does not accept this client id and secret"
    remedy = (
        "Check Client ID and Client secret of the connection. The secret may have expired or been deleted, "
        "or the Atlas URL may be the wrong one."
    )


class AccessDenied(AtlasError, AirflowFailException):
    """403: the IP address that the request came from is not on the service account's access list."""

    summary = "Atlas denied access from this machine's IP address"
    remedy = "Add the address of this worker to the service account's IP access list in Atlas."


class TokenLimitReached(AtlasError):
    """
    403: the service account has as many active tokens as Atlas allows (100).

    It ends when a token expires, up to an hour away, or is revoked. Atlas has no list of the active tokens.
    """

    summary = "The service account has as many active tokens as Atlas allows"
    remedy = (
        "Share one token between tasks: set cache_scope=deployment on the connection, or pass one task's sealed "
        "token to the others (GenerateTokenOperator as setup, RevokeTokenOperator as teardown). Revoke tokens that "
        "are no longer used, or use another service account."
    )


class RetryableResponse(AtlasError):
    """
    A response that may say when to retry.

    :param summary: as of :class:`AtlasError`.
    :param retry_after: seconds that Atlas asked to wait, ``None`` if it did not say.
    """

    def __init__(self, summary: str | None = None, *, retry_after: float | None = None, **response: Any) -> None:
        super().__init__(summary, **response)
        self.retry_after = retry_after


class RateLimited(RetryableResponse):
    """
    429: too many requests from this address with this service account.

    :param summary: as of :class:`AtlasError`.
    :param limit: requests that one window admits, as this response states it, else ``None``.
    :param window: length of the window in seconds, as this response states it, else ``None``.
    """

    summary = "Atlas limits the rate of requests"
    remedy = (
        "Allow a longer wait (max_wait), defer (deferrable=True), or share one token between tasks "
        "(cache_scope=deployment, or one sealed token for a DAG run)."
    )
    #: The remedy in a task that is deferrable already.
    remedy_deferrable = (
        "Allow a longer wait (max_wait), or share one token between tasks (cache_scope=deployment, or one sealed token "
        "for a DAG run)."
    )

    def __init__(
        self,
        summary: str | None = None,
        *,
        limit: int | None = None,
        window: float | None = None,
        **response: Any,
    ) -> None:
        super().__init__(summary, **response)
        self.limit = limit
        self.window = window
        self.allowed: float | None = None  # seconds that the call may wait; set by the code that stopped waiting

    def _cause(self) -> str:
        asked = f": Atlas asks to wait {self.retry_after:.0f} s" if self.retry_after is not None else ""
        allowed = f"{',' if asked else ':'} max_wait allows {self.allowed:.0f} s" if self.allowed is not None else ""
        return f"{self.args[0]}{asked if self.allowed is not None else ''}{allowed}"


class ServiceUnavailable(RetryableResponse):
    """503: Atlas is not available for now."""

    summary = "Atlas is not available at the moment"
    remedy = "Try again later. Atlas's status page tells whether it is down."


class ServerError(AtlasError):
    """500 and every other 5xx except 503: an error inside Atlas or in a proxy before it."""

    summary = "Atlas reported an error of its own"
    remedy = "Try again. If it stays, Atlas's status page tells whether it is down."


class AtlasUnreachable(AtlasError):
    """No response: name resolution, connection, proxy or timeout."""

    summary = "Atlas cannot be reached"
    remedy = "Check the Atlas URL, the proxy and the network between this machine and Atlas."


class CertificateRefused(AtlasError, AirflowFailException):
    """The server's TLS certificate does not verify. Waiting does not help, and verification cannot be switched off."""

    summary = "The TLS certificate of the Atlas URL does not verify"
    remedy = "If a proxy terminates TLS, name its CA file as [atlas] ca_bundle in airflow.cfg."


class UnexpectedResponse(AtlasError):
    """A response that does not have the form that Atlas documents; often it comes from a proxy."""

    summary = "The response does not have the form that Atlas documents"
    remedy = "Check that the Atlas URL is right and that no proxy responds in Atlas's place."


class StoreUnavailable(AtlasError):
    """Airflow's Variables, where the deployment's token is stored, cannot be read or written."""

    summary = "The store of the deployment's token is not available"
    remedy = "Check Airflow's metadata database or secrets backend, and whether tasks are allowed to write Variables."


class TokenExpired(AtlasError, AirflowFailException):
    """A token that another task generated has expired or was revoked. This hook must not request another."""

    summary = "The token that this task was given is no longer valid"
    remedy = (
        "Generate the token closer to its use: it expires after an hour. For DAG runs that take longer use "
        "cache_scope=deployment."
    )


class InvalidSealedToken(AtlasError, AirflowFailException):
    """A text that does not open as a token sealed with this service account's secret."""

    summary = "The token must be a sealed one; this is not a sealed token of this service account"
    remedy = "Pass what GenerateTokenOperator returned or hook.seal() made, with the same Atlas connection."


class ClientSecretsInUse(AtlasError, AirflowFailException):
    """Both slots for client secrets are taken, and it is not certain which of the two nobody uses."""

    summary = "Both client secrets of the service account may be in use"
    remedy = "Delete the one in Atlas that the connection does not hold, once nobody uses it, and run this task again."


class RotatedElsewhere(AtlasError, AirflowFailException):
    """A rotation through another connection has recorded which client secrets the service account has."""

    summary = "The client secret of this service account is rotated through another connection"
    remedy = (
        "Two rotations would delete each other's secrets: remove one of them. If the other connection is gone, remove "
        "the Variable atlas_rotation_... of this service account."
    )


class SecretStoreUnavailable(AtlasError):
    """The store of the client secret cannot be written. Whether a write that failed had its effect is not known."""

    summary = "The store of the client secret cannot be written"
    remedy = "Check that the store is reachable and that this task may write to it. The next run continues from here."


class SecretNotStored(AtlasError):
    """The store accepted a new client secret, and the connection still has the old one."""

    summary = "The connection does not show the new client secret"
    remedy = (
        "An environment variable or another secrets backend may hide the connection: name the store that it is read "
        "from. The next run deletes the new secret if the connection still has the old one. Atlas has cut the old "
        "one's lifetime to 7 days."
    )


class RotationUnderWay(AtlasError):
    """Another run is rotating the client secret of the same service account."""

    summary = "Another run is rotating this client secret"
    remedy = "Set max_active_runs=1 for the DAG, and use one rotation DAG for each service account."


class AtlasApiError(AtlasError):
    """
    The Administration API refused a request, or its response is not what it documents.

    :param summary: as of :class:`AtlasError`; by default it names method and path.
    :param status: HTTP status.
    :param method: HTTP method of the request.
    :param path: path of the request, with names in place of ids.
    :param error_code: Atlas's ``errorCode``, such as ``RESOURCE_NOT_FOUND``; ``None`` if empty, as it may be.
    :param detail: Atlas's words.
    :param reason: the status in words, as the body gives it.
    :param parameters: what the code is about, such as an address or a name.
    :param fields: (field, what is wrong with it) of a bad request.
    :param retry_after: seconds that Atlas asked to wait, of a limit; ``None`` if it did not say.
    :param meaning: ``passes`` (the same request will succeed later), ``already so`` (it has nothing to do), ``final``.
    :param remedy: what to do about it; empty where Atlas's words say it all.
    """

    def __init__(
        self,
        summary: str | None = None,
        *,
        status: int | None = None,
        method: str | None = None,
        path: str | None = None,
        error_code: str | None = None,
        detail: str | None = None,
        reason: str | None = None,
        parameters: Sequence[Any] = (),
        fields: Sequence[tuple[str, str]] = (),
        retry_after: float | None = None,
        meaning: str = "final",
        remedy: str = "",
    ) -> None:
        request = f"{method} {path}" if method and path else ""
        words = ": ".join(filter(None, (error_code, detail or reason)))
        self._begins_with = "" if summary else words  # a path may be as long as what a log shows of a line
        self._request = request
        summary = summary or f"The Atlas Administration API refused {request or 'the request'}"
        super().__init__(summary, status=status, error=error_code, description=detail or reason)
        self.method = method
        self.path = path
        self.error_code = error_code
        self.detail = detail
        self.reason = reason
        self.parameters = tuple(parameters)
        self.fields = tuple(fields)
        self.retry_after = retry_after
        self.meaning = meaning
        self.remedy = remedy

    def _sentence(self, status: str) -> str:
        if not self._begins_with:
            return super()._sentence(status)
        response = ", ".join(filter(None, (status, self._request)))
        return f"Atlas refused{' with' if self.error_code else ':'} {self._begins_with.rstrip('.')} ({response})"


class AtlasChangeRefused(AtlasApiError, AirflowFailException):
    """The Administration API refused a change for a reason that does not pass: no retry helps."""


class AtlasJobError(AtlasError):
    """
    Base of the two ways in which a wait for Atlas's work ends badly. ``description`` has Atlas's words.

    :param summary: as of :class:`AtlasError`.
    :param state: what Atlas stated last, such as ``stateName UPDATING``.
    """

    def __init__(self, summary: str | None = None, *, state: str | None = None, **response: Any) -> None:
        super().__init__(summary, **response)
        self.state = state

    @property
    def seconds(self) -> float | None:
        """How long the task waited."""
        return self.waited


class AtlasJobFailed(AtlasJobError, AirflowFailException):
    """Atlas's work ended, and not as it should. A retry of the task would find the same job."""

    summary = "The job in Atlas failed"
    remedy = "Clear the task to request it again."


class AtlasJobTimeout(AtlasJobError):
    """Atlas's work did not end within ``max_wait``. It goes on, and a retry of the task waits for it again."""

    summary = "The job in Atlas did not end in time"
    remedy = "It goes on in Atlas: a retry of the task waits for it. Allow more: max_wait, or a sensor's timeout."
