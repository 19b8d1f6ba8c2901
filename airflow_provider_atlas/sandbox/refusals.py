"""What the Administration API refuses: one table from the error code to status and words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.responses import AtlasResponse, api_error

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Braces hold the parameters of the error. Codes marked (*) are not documented: the sandbox's own.
CODES: dict[str, tuple[int, str]] = {
    # The request itself.
    "INVALID_ATTRIBUTE": (400, "Invalid attribute {0} specified."),
    "INVALID_JSON": (400, "The JSON of the request body is malformed."),
    "INVALID_VERSION_DATE": (406, "Invalid accept header or version date."),
    "IP_ADDRESS_NOT_ON_ACCESS_LIST": (403, "IP address {0} is not allowed to access this resource."),
    "UNSUPPORTED_MEDIA_TYPE": (415, "The content type of the request body is not supported."),  # (*)
    "VALIDATION_ERROR": (400, "Invalid value of {0}."),
    "VERSION_GONE": (410, "Version {0} of {1} is no longer available."),
    # Rights. A new token does not help.
    "NOT_GROUP_USER_ADMIN": (401, "The account is not a user administrator of the project."),
    "NOT_IN_GROUP": (401, "The account is not in project {0}."),
    "NOT_ORG_GROUP_CREATOR": (401, "The account may not create projects in organization {0}."),
    "NOT_ORG_OWNER": (401, "The account is not an owner of the organization."),
    "NOT_ORG_USER_ADMIN": (401, "The account is not a user administrator of the organization."),
    "USER_CANNOT_ACCESS_GROUP": (401, "The account cannot access project {0}."),
    "USER_CANNOT_ACCESS_ORG": (401, "The account cannot access organization {0}."),
    "USER_UNAUTHORIZED": (401, "Current user is not authorized to perform this action."),
    # What does not exist.
    "CLUSTER_NOT_FOUND": (404, "No cluster named {0} exists in project {1}."),
    "GROUP_NOT_FOUND": (404, "No project with ID {0} exists."),
    "ORG_NOT_FOUND": (404, "No organization with ID {0} exists."),
    "RESOURCE_NOT_FOUND": (404, "Cannot find resource {0}."),
    "SERVICE_ACCOUNT_NOT_FOUND": (404, "No service account with ID {0} exists."),  # (*)
    "SERVICE_ACCOUNT_SECRET_NOT_FOUND": (404, "No secret with ID {0} exists."),  # (*)
    # Changes: passes by itself.
    "ATLAS_CLUSTER_RESTORE_IN_PROGRESS": (409, "A restore of cluster {0} is in progress."),
    "CANNOT_MODIFY_CLUSTER_WITH_RUNNING_LIVE_IMPORT": (409, "Cluster {0} is the target of a running live import."),
    "CANNOT_PAUSE_CLUSTER_WITH_PENDING_CHANGES": (409, "Cluster {0} has pending changes and cannot be paused."),
    "CANNOT_PAUSE_RECENTLY_RESUMED_CLUSTER": (400, "A resumed cluster must run for {0} minutes before it is paused."),
    "CANNOT_PERFORM_RESTORE_ON_CLUSTER_WITH_RUNNING_LIVE_IMPORT": (400, "Cluster {0} has a running live import."),
    "CANNOT_START_RESTORE_JOB_FOR_INCOMPLETE_CLUSTER_SNAPSHOT": (409, "Snapshot {0} is not complete."),
    "CLUSTER_RESTART_IN_PROGRESS": (400, "A failover test of cluster {0} is in progress."),
    "CLUSTER_RESTORE_IN_PROGRESS_CANNOT_UPDATE": (400, "Cluster {0} is being restored and cannot be changed."),
    "NO_CAPACITY": (409, "The cloud provider has no capacity in region {0}."),
    "OPERATION_INVALID_MEMBER_REPLICATION_LAG": (400, "A member of cluster {0} lags behind in replication."),
    "OUT_OF_CAPACITY": (409, "The cloud provider is out of capacity in region {0}."),
    "TENANT_RESTORE_DESTINATION_UNAVAILABLE": (400, "Cluster {0} is not available as the target of a restore."),
    "UNFINISHED_ON_DEMAND_SNAPSHOT": (400, "Another snapshot on demand of cluster {0} is queued or in progress."),
    "WRITES_NOT_ALLOWED_DURING_APP_UPGRADES": (405, "Atlas is being upgraded and accepts no changes."),
    # Changes: already so.
    "ATLAS_FTS_DUPLICATE_INDEX": (400, "A search index named {0} exists already."),
    "CLUSTER_ALREADY_PAUSED": (409, "Cluster {0} is paused already."),
    "CLUSTER_ALREADY_REQUESTED_DELETION": (400, "Cluster {0} is being deleted already."),
    # Changes: final.
    "ACCOUNT_SUSPENDED": (402, "The organization is suspended."),
    "CANNOT_CANCEL_AUTOMATED_RESTORE": (400, "An automated restore cannot be cancelled."),
    "CANNOT_DELETE_IN_PROGRESS_SNAPSHOT": (400, "Snapshot {0} is in progress and cannot be deleted."),
    "CANNOT_DECREASE_DISK_SIZE": (500, "The disk of cluster {0} cannot become smaller."),
    "CANNOT_EXPORT_INCOMPLETE_SNAPSHOT": (409, "Snapshot {0} is not complete."),  # (*)
    "CANNOT_PAUSE_NVME_CLUSTER": (409, "Cluster {0} has NVMe storage and cannot be paused."),
    "CANNOT_RESTORE_TO_TARGET": (403, "Cluster {0} cannot be the target of this restore."),
    "CANNOT_TERMINATE_CLUSTER_WHEN_TERMINATION_PROTECTION_ENABLED": (400, "Cluster {0} is protected from deletion."),
    "CANNOT_UPDATE_AND_PAUSE_CLUSTER": (409, "A request that pauses or resumes cluster {0} cannot change it as well."),
    "CANNOT_UPDATE_PAUSED_CLUSTER": (409, "Cluster {0} is paused and cannot be changed."),
    "CANNOT_USE_FLEX_CLUSTER_IN_CLUSTER_API": (400, "Flex cluster {0} cannot be used in the Cluster API."),
    "CLUSTER_PAUSED_CANNOT_RESTORE": (400, "Cluster {0} is paused and cannot be restored."),
    "DUPLICATE_CLUSTER_NAME": (400, "A cluster named {0} exists already in project {1}."),
    "NO_CHECKPOINT_FOR_PIT_RESTORE": (409, "No backup covers the point in time {0}."),
    "NO_PAYMENT_INFORMATION_FOUND": (402, "The organization has no payment information."),
    "SERVICE_ACCOUNT_SECRET_LIMIT_REACHED": (400, "Service account {0} has the maximum of {1} secrets."),  # (*)
    "SNAPSHOT_RETENTION_LESS_THAN_BACKUP_COMPLIANCE_POLICY": (400, "The policy requires a longer retention."),
    "TENANT_CLUSTER_UPDATE_UNSUPPORTED": (400, "Clusters of the size {0} cannot be changed through this endpoint."),
    "UNEXPECTED_ERROR": (500, "Unexpected error."),
}


def refused(
    code: str, *parameters: Any, status: int | None = None, fields: Mapping[str, str] | None = None
) -> AtlasResponse:
    """Return Atlas's response with an error code. ``status`` is for codes that Atlas sends with more than one."""
    documented, detail = CODES.get(code, (status or 400, code))
    # A fault on demand may have fewer parameters than the text.
    detail = detail.format(*parameters, "?", "?")
    return api_error(status or documented, code, detail, parameters=parameters, fields=fields)


class Refusal(Exception):
    """Ends a request. Nothing may have been changed before."""

    def __init__(self, code: str, *parameters: Any, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(code)
        self.response = refused(code, *parameters, fields=fields)
