"""Airflow's masker takes the secret, the pair and the token out of what ``http.client`` prints when it is debugged."""

from __future__ import annotations

import base64
import http.client

import pytest

from airflow_provider_atlas.cache import task
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from tests.conftest import secrets_in


@pytest.fixture
def masker(mocker):
    """A masker of Airflow's that starts without masks, in place of the one of the process."""
    mocker.stopall()  # the suite's masker takes no masks
    try:
        import airflow.sdk._shared.secrets_masker as module
    except ImportError:
        try:
            import airflow.sdk.execution_time.secrets_masker as module  # 3.0
        except ImportError:
            import airflow.utils.log.secrets_masker as module
    new = module.SecretsMasker()
    mocker.patch.object(module, "_secrets_masker", lambda: new)
    return module


@pytest.mark.parametrize("scope", ["task", "deployment", "given", "own"])
def test_debug_output_of_http_client_holds_no_secret_after_redaction(
    scope, masker, atlas_sandbox, monkeypatch, capsys, request
):
    sealed = AtlasServiceAccountHook().seal(AtlasServiceAccountHook().generate_token()) if scope == "given" else None
    if scope == "deployment":
        request.getfixturevalue("store")
    monkeypatch.setattr(http.client.HTTPConnection, "debuglevel", 1)
    for _ in range(2):  # the second time the token comes from the store
        task._caches.clear()
        hook = AtlasServiceAccountHook(cache_scope="deployment" if scope == "deployment" else None, token=sealed)
        if scope == "own":
            with hook as own:
                own.run("/api/atlas/v2/groups")
        else:
            hook.run("/api/atlas/v2/groups")
    hook.revoke_token(hook.get_token())
    printed = capsys.readouterr().out
    pair = base64.b64encode(f"{atlas_sandbox.client_id}:{atlas_sandbox.client_secret}".encode()).decode()
    secrets = atlas_sandbox.client_secret, pair, *atlas_sandbox.issued
    assert f"Basic {pair}" in printed
    assert any(f"Bearer {token}" in printed for token in atlas_sandbox.issued)
    redacted = masker.redact(printed)
    assert "Basic ***" in redacted
    assert "Bearer ***" in redacted
    assert secrets_in([redacted], *secrets) == []
