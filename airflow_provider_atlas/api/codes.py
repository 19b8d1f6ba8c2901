"""What a refusal of the Administration API means: by its code, since each status stands for several things.

The codes are from MongoDB's published list of API error codes and from the logs of people who met them. A status alone
decides only where no code does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.exceptions import AtlasApiError
from airflow_provider_atlas.oauth.responses import json_object, words

if TYPE_CHECKING:
    import requests


#: So many bad fields and parameters of a refusal are kept.
MOST = 20

PASSES, ALREADY_SO, FINAL = "passes", "already so", "final"

#: The same request will succeed later: what is in its way.
BUSY = {
    "OPERATION_INVALID_MEMBER_REPLICATION_LAG": "The cluster's members are not in step yet.",
    "CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER": "A cluster that was resumed runs for 60 minutes before it can be paused.",
    "CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES": "Another change of the cluster is under way.",
    "CLUSTER_RESTART_IN_PROGRESS": "The cluster is restarting.",
    "CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE": "A restore into the cluster is under way.",
    "ATLAS_CLUSTER_RESTORE_IN_PROGRESS": "A restore into the cluster is under way.",
    "UNFINISHED_ON_DEMAND_SNAPSHOT": "Another on-demand snapshot of the cluster is under way.",
    "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT": "The snapshot is not complete yet.",
    "TENANT_RESTORE_DESTINATION_UNAVAILABLE": "The target of the restore is not ready.",
    "CANNOT_MODIFY_CLUSTER_WITH_RUNNING_LIVE_IMPORT": "A live import into the cluster is under way.",
    "CANNOT_PERFORM_RESTORE_ON_CLUSTER_WITH_RUNNING_LIVE_IMPORT": "A live import into the cluster is under way.",
    "WRITES_NOT_ALLOWED_DURING_APP_UPGRADES": "Atlas itself is being upgraded.",
    "OUT_OF_CAPACITY": "The cloud provider has no capacity in this region. That can take hours.",
    "NO_CAPACITY": "The cloud provider has no capacity in this region. That can take hours.",
}

#: The request has nothing to do, or another one like it came before.
DONE = {
    "CLUSTER_ALREADY_PAUSED": "The cluster is paused already.",
    "CLUSTER_ALREADY_REQUESTED_DELETION": "The cluster is being deleted already.",
    "ATLAS_FTS_DUPLICATE_INDEX": "An index of this name exists: look whether it is the same.",
}

_SUSPENDED = "Settle the organization's billing in Atlas."
_PAUSED = "Resume the cluster first."
_TENANT = "Clusters of the tiers M0, M2 and M5 do not have this operation; flex clusters are at .../flexClusters."

#: No retry helps: what to do instead.
REMEDIES = {
    "USER_CANNOT_ACCESS_GROUP": (
        "Give the service account a role in this project. Right after a project was created, wait some seconds."
    ),
    "CANNOT_UPDATE_PAUSED_CLUSTER": _PAUSED,
    "CLUSTER_PAUSED_CANNOT_RESTORE": _PAUSED,
    "CANNOT_UPDATE_AND_PAUSE_CLUSTER": "Send paused in a request of its own, without another change.",
    "CANNOT_PAUSE_NVME_CLUSTER": "A cluster on NVMe storage cannot be paused: scale it down instead.",
    "TENANT_CLUSTER_UPDATE_UNSUPPORTED": _TENANT,
    "CANNOT_USE_FLEX_CLUSTER_IN_CLUSTER_API": "Flex clusters cannot do this; what they can do is at .../flexClusters.",
    "CANNOT_RESTORE_TO_TARGET": "Choose a target cluster with enough disk and a version that the snapshot fits.",
    "NO_CHECKPOINT_FOR_PIT_RESTORE": "Choose a point in time within the cluster's restore window.",
    "SNAPSHOT_RETENTION_LESS_THAN_BACKUP_COMPLIANCE_POLICY": "Keep the snapshot as long as the backup policy demands.",
    "CANNOT_CANCEL_AUTOMATED_RESTORE": "An automated restore runs to its end: wait for it.",
    "CANNOT_DECREASE_DISK_SIZE": "The disk of this cluster cannot shrink: restore into a new cluster instead.",
    "ACCOUNT_SUSPENDED": _SUSPENDED,
    "NO_PAYMENT_INFORMATION_FOUND": _SUSPENDED,
}

#: What Atlas says before it does anything, whatever the status.
KNOWN = frozenset([*BUSY, *DONE, *REMEDIES])

#: 401 with one of these codes: the token is valid, and no other token has the role that is missing.
RIGHTS = frozenset(
    {
        "USER_UNAUTHORIZED",
        "USER_CANNOT_ACCESS_GROUP",
        "USER_CANNOT_ACCESS_ORG",
        "NOT_IN_GROUP",
        "NOT_IN_ORG",
    }
)
#: So do these begin: NOT_ORG_GROUP_CREATOR, NOT_GROUP_USER_ADMIN, ...
RIGHTS_PREFIXES = ("NOT_ORG_", "NOT_GROUP_", "NOT_GLOBAL_", "USER_CANNOT_ACCESS_")

_NO_TOKEN_HELPS = "Atlas accepts neither this token nor a new one: look whether the account was deleted."  # noqa: S105
_ROLE = "The token is valid, so a role is missing: give the service account a role in the organization or project."
_BY_STATUS = {
    401: _ROLE,
    403: "Give the service account a role that allows this.",
    410: "This API version is no longer served: choose a later date as api_version.",
}
_PASSING_STATUS = (429, 500, 502, 503, 504)

_learned: set[str] = set()


def api_error(
    status: int,
    body: Mapping[str, Any] | None,
    scrub: Callable[[str], str],
    retry_after: float | None = None,
    *,
    method: str | None = None,
    path: str | None = None,
    accept: str | None = None,
) -> AtlasApiError:
    """
    Read a refusal. Fields that are missing, empty or of another type are left out.

    :param scrub: takes secrets out of what the server wrote.
    :param method: of the request, as ``path`` and ``accept``, the media type that it asked for.
    """
    nothing, body = not body, body or {}
    bad = body.get("badRequestDetail")
    listed = bad.get("fields") if isinstance(bad, dict) else None
    fields = [
        (words(field.get("field"), scrub) or "?", words(field.get("description"), scrub) or "?")
        for field in (listed[:MOST] if isinstance(listed, list) else ())
        if isinstance(field, dict)
    ]
    given = body.get("parameters")
    parameters = [
        words(value, scrub) if isinstance(value, str) else value
        for value in (given[:MOST] if isinstance(given, list) else ())
        if isinstance(value, str | int | float)
    ]
    code = words(body.get("errorCode"), scrub)
    return AtlasApiError(
        status=status,
        method=method,
        path=path,
        error_code=code,
        detail=words(body.get("detail"), scrub),
        reason=words(body.get("reason"), scrub),
        parameters=parameters,
        fields=fields,
        retry_after=retry_after,
        meaning=meaning(status, code),
        remedy=_NO_TOKEN_HELPS
        if status == 401 and nothing
        else _remedy(status, code, fields, parameters, accept, retry_after),
    )


def meaning(status: int, code: str | None) -> str:
    """:data:`PASSES`, :data:`ALREADY_SO` or :data:`FINAL`."""
    if code in BUSY:
        return PASSES
    if code in DONE:
        return ALREADY_SO
    return PASSES if status in _PASSING_STATUS and code not in REMEDIES else FINAL


def _remedy(
    status: int,
    code: str | None,
    fields: list[tuple[str, str]],
    parameters: list[Any],
    accept: str | None,
    retry_after: float | None,
) -> str:
    if fields:
        return "Correct " + "; ".join(f"{field}: {description}" for field, description in fields) + "."
    if code == "IP_ADDRESS_NOT_ON_ACCESS_LIST":
        address = parameters[0] if parameters else "this machine's address"
        return f"Add {address} to the service account's IP access list in Atlas."
    for table in (BUSY, DONE, REMEDIES):
        if code in table:
            return table[code]
    if status == 406:
        other = "accept='json'" if accept and not accept.endswith("+json") else "accept='gzip' or accept='csv'"
        return (
            f"The resource is not served as {accept}. Give another date as api_version, api_version='preview' for a "
            f"preview resource, or {other}."
        )
    if status == 429:
        asked = "" if retry_after is None else f": Atlas asks for {retry_after:.0f} s"
        return f"Allow a longer max_wait{asked}."
    return _BY_STATUS.get(status, "")


def refuses_token(response: requests.Response, met: set[str]) -> bool:
    """
    Whether a 401 may be about the token, so that another one may help.

    Atlas's response to a token that is not valid has no body. A code that nobody has listed, or none where it should
    be, is taken for such a response once: if the next token meets it as well, it is about rights, for as long as this
    process runs.

    :param met: the codes that other tokens met for the same request; to be added to.
    """
    if response.status_code != 401:
        return False
    body = json_object(response.content)
    if body is None:
        return True
    code = words(body.get("errorCode"), str) or ""
    if code in met:
        _learned.add(code)
    met.add(code)
    return not (code in RIGHTS or code.startswith(RIGHTS_PREFIXES) or code in _learned)
