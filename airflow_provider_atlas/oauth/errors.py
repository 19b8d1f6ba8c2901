"""Everything that can go wrong between this provider and Atlas, as types with data.

Each type says what a reader of the log should do next (``remedy``) and whether waiting can cure it. Texts from
Atlas reach these types scrubbed (see ``airflow_provider_atlas.oauth.answers.error_from``), so that an error may
be logged, stored in a database or sent to a tracker as it is.
"""

from __future__ import annotations


class AtlasError(Exception):
    """
    Base of all errors of this provider.

    :param summary: what happened, one sentence without a full stop; each type has its own default.
    :param status: Atlas's HTTP status, ``None`` if there was no answer. The status in an envelope wins.
    :param error: Atlas's code, ``error`` or ``errorCode`` of the body.
    :param description: Atlas's words, ``error_description`` or ``detail`` of the body.
    """

    summary = "Atlas and this provider do not understand each other"
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
        self.waited: float | None = None  # seconds, set by whoever gave up waiting

    def __str__(self) -> str:
        code = " ".join(part for part in (f"HTTP {self.status}" if self.status else "", self.error or "") if part)
        answer = ": ".join(part for part in (code, self.description or "") if part)
        sentence = f"{self.args[0]} ({answer})." if answer else f"{self.args[0]}."
        waited = f" Waited {self.waited:.0f} s in all." if self.waited else ""
        return f"{sentence}{waited} {self.remedy}".rstrip()


class InvalidConnection(AtlasError):
    """The connection's own fields are wrong; nothing was sent to Atlas."""

    summary = "The Atlas connection is not usable"


class InvalidCall(AtlasError):
    """The arguments of a call are wrong; nothing was sent to Atlas."""

    summary = "The call to Atlas is not possible"


class InvalidRequest(AtlasError):
    """400 ``invalid_request``: Atlas says the credentials are not valid."""

    summary = "Atlas refused the credentials as not valid"
    remedy = "Check Client ID and Client secret of the connection."


class UnsupportedGrantType(AtlasError):
    """400 ``unsupported_grant_type``: something on the way changed the request."""

    summary = "Atlas did not see the grant type client_credentials"
    remedy = "Check that the Atlas URL is Atlas's own and that no proxy rewrites requests."


class InvalidGrant(AtlasError):
    """400 ``invalid_grant``: the service account may not use this grant."""

    summary = "Atlas refused the grant"
    remedy = "Check in Atlas that the service account still exists and is enabled."


class InvalidClient(AtlasError):
    """401: Atlas does not know this client id and secret."""

    summary = "Atlas does not accept this client id and secret"
    remedy = (
        "Check Client ID and Client secret of the connection; the secret may have expired or been deleted, "
        "and the Atlas URL may be another Atlas's."
    )


class AccessDenied(AtlasError):
    """403: the address that the request came from is not on the service account's access list."""

    summary = "Atlas denied access from this machine's IP address"
    remedy = "Add the address of this worker to the service account's IP access list in Atlas."


class TokenLimitReached(AtlasError):
    """
    403: the service account holds as many active tokens as Atlas allows (100).

    It ends when a token expires, up to an hour away, or is revoked. Nothing at Atlas lists the active tokens.
    """

    summary = "The service account holds as many active tokens as Atlas allows"
    remedy = (
        "Share one token between tasks: set cache_scope=deployment on the connection, or hand one task's sealed "
        "token to the others (GenerateTokenOperator as setup, RevokeTokenOperator as teardown). Revoke tokens that "
        "are no longer used, or use another service account."
    )


class RetryableAnswer(AtlasError):
    """
    An answer that may say when to come back.

    :param summary: as of :class:`AtlasError`.
    :param retry_after: seconds that Atlas asked to wait, ``None`` if it did not say.
    """

    def __init__(self, summary: str | None = None, *, retry_after: float | None = None, **answer: object) -> None:
        super().__init__(summary, **answer)  # type: ignore[arg-type]
        self.retry_after = retry_after


class RateLimited(RetryableAnswer):
    """
    429: too many requests from this address with this service account.

    :param summary: as of :class:`AtlasError`.
    :param limit: requests that a window admits, as this answer states it, else ``None``.
    :param window: length of the window in seconds, as this answer states it, else ``None``.
    """

    summary = "Atlas limits the rate of requests"
    remedy = (
        "Wait longer (max_wait), defer (deferrable=True), or share one token between tasks "
        "(cache_scope=deployment, or one sealed token for a DAG run)."
    )

    def __init__(
        self,
        summary: str | None = None,
        *,
        limit: int | None = None,
        window: float | None = None,
        **answer: object,
    ) -> None:
        super().__init__(summary, **answer)  # type: ignore[arg-type]
        self.limit = limit
        self.window = window


class ServiceUnavailable(RetryableAnswer):
    """503: Atlas is down for now."""

    summary = "Atlas is not available at the moment"
    remedy = "Try again later; Atlas's status page tells whether it is down."


class ServerError(AtlasError):
    """500 and other 5xx but 503: an error inside Atlas or a proxy before it."""

    summary = "Atlas met an error of its own"
    remedy = "Try again; if it stays, Atlas's status page tells whether it is down."


class AtlasUnreachable(AtlasError):
    """No answer: name resolution, connection, proxy or time-out."""

    summary = "Atlas cannot be reached"
    remedy = "Check the Atlas URL, the proxy and the network between this machine and Atlas."


class CertificateRefused(AtlasError):
    """The server's TLS certificate does not verify. Waiting does not help, and verification cannot be switched off."""

    summary = "The TLS certificate of the Atlas URL does not verify"
    remedy = "If a proxy opens TLS here, name its CA file in the connection's extra ca_bundle."


class UnexpectedAnswer(AtlasError):
    """An answer that is not of the form that Atlas documents, often a proxy's."""

    summary = "The answer is not one that Atlas gives"
    remedy = "Check that the Atlas URL is right and that no proxy answers in Atlas's place."


class StoreUnavailable(AtlasError):
    """Airflow's Variables, where the deployment's token lies, cannot be read or written."""

    summary = "The place of the deployment's token is not available"
    remedy = "Check Airflow's metadata database or secrets backend, and whether tasks may write Variables."


class TokenExpired(AtlasError):
    """A token that another task generated has expired or was revoked; this hook may not mint another."""

    summary = "The token that was handed to this task is no longer valid"
    remedy = "A token lives for an hour. For DAG runs that take longer use cache_scope=deployment."


class InvalidSealedToken(AtlasError):
    """Text that does not open as a token sealed by this service account."""

    summary = "This is not a sealed token of this service account"
    remedy = "Hand over what GenerateTokenOperator returned or hook.seal() made, with the same Atlas connection."
