"""Service accounts and their secrets, for the organization and for each project."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from airflow_provider_atlas.sandbox.accounts import MAX_SECRETS, SECRET_HOURS, Account, Secret
from airflow_provider_atlas.sandbox.bodies import read_body
from airflow_provider_atlas.sandbox.refusals import Refusal
from airflow_provider_atlas.sandbox.resources import check_owner
from airflow_provider_atlas.sandbox.responses import AtlasResponse, page, timestamp

if TYPE_CHECKING:
    from airflow_provider_atlas.sandbox.requests import AtlasRequest
    from airflow_provider_atlas.sandbox.responses import Routes
    from airflow_provider_atlas.sandbox.state import AtlasState

#: Atlas does not document how the mask belongs to the secret, so it tells nothing here.
MASKED = "mdb_sa_sk_..."


def check_role(account: Account, request: AtlasRequest) -> None:
    """Refuse an account whose roles do not let it use these endpoints. Atlas documents no role: these are a guess."""
    kinds = ("ORG", "GROUP") if "groupId" in request.ids else ("ORG",)
    rights = ("OWNER", "READ_ONLY") if request.method == "GET" else ("OWNER",)
    if not {f"{kind}_{right}" for kind in kinds for right in rights} & {*account.roles}:
        raise Refusal("NOT_GROUP_USER_ADMIN" if "GROUP" in kinds else "NOT_ORG_OWNER")


def list_all(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    check_owner(atlas, request)
    accounts = list(atlas.accounts.values())
    return page(request, len(accounts), lambda index: _account(accounts[index], request))


def get(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    return AtlasResponse(200, _account(_find(atlas, request), request))


def create_secret(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    account = _find(atlas, request)
    hours = read_body(request, {"secretExpiresAfterHours!": int})["secretExpiresAfterHours"]
    if hours not in SECRET_HOURS:
        wrong = {"secretExpiresAfterHours": f"must be between {SECRET_HOURS[0]} and {SECRET_HOURS[-1]}"}
        raise Refusal("VALIDATION_ERROR", *wrong, fields=wrong)
    if len(account.secrets) >= MAX_SECRETS:
        raise Refusal("SERVICE_ACCOUNT_SECRET_LIMIT_REACHED", account.client_id, MAX_SECRETS)
    secret = account.add_secret(atlas.clock(), hours)
    return AtlasResponse(201, {**_secret(secret), "secret": secret.value})


def delete_secret(atlas: AtlasState, request: AtlasRequest) -> AtlasResponse:
    account, secret_id = _find(atlas, request), request.ids["secretId"]
    for secret in account.secrets:
        if secret.id == secret_id:
            atlas.delete_secret(secret.value)
            return AtlasResponse(204)
    raise Refusal("SERVICE_ACCOUNT_SECRET_NOT_FOUND", secret_id)


def _find(atlas: AtlasState, request: AtlasRequest) -> Account:
    check_owner(atlas, request)
    client_id = request.ids["clientId"]
    if client_id not in atlas.accounts:
        raise Refusal("SERVICE_ACCOUNT_NOT_FOUND", client_id)
    return atlas.accounts[client_id]


def _account(account: Account, request: AtlasRequest) -> dict[str, Any]:
    kind = "GROUP_" if "groupId" in request.ids else "ORG_"
    return {
        "clientId": account.client_id,
        "name": f"account-{account.client_id[-6:]}",
        "description": "A service account of the sandbox",
        "createdAt": timestamp(account.created),
        "roles": [role for role in account.roles if role.startswith(kind)],
        "secrets": [_secret(secret) for secret in account.secrets],
    }


def _secret(secret: Secret) -> dict[str, Any]:
    used = {} if secret.last_used is None else {"lastUsedAt": timestamp(secret.last_used)}
    created, expires = timestamp(secret.created), timestamp(secret.expires)
    return {"id": secret.id, "createdAt": created, "expiresAt": expires, "maskedSecretValue": MASKED, **used}


PATHS: Routes = {
    "": {"GET": list_all},
    "/{clientId}": {"GET": get},
    "/{clientId}/secrets": {"POST": create_secret},
    "/{clientId}/secrets/{secretId}": {"DELETE": delete_secret},
}
OWNERS = ("/orgs/{orgId}", "/groups/{groupId}")
ROUTES: Routes = {f"{owner}/serviceAccounts{path}": PATHS[path] for owner in OWNERS for path in PATHS}
