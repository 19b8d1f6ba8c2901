"""The client secret is replaced while a task runs: the hook switches to the new one, once for each refused secret."""

from __future__ import annotations

import json
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from airflow_provider_atlas import exceptions
from airflow_provider_atlas.cache import task
from airflow_provider_atlas.hooks import current, tokens
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.token import GenerateTokenOperator, RevokeTokenOperator

GROUPS = "/api/atlas/v2/groups"
WRONG = "mdb_sa_sk_Some-Other_Secret"


@pytest.fixture(autouse=True)
def no_secret_was_looked_up(mocker):
    mocker.patch.object(current, "_unchanged", {})


@pytest.fixture
def reads(mocker):
    """Each read of the stored connection."""
    return mocker.spy(AtlasServiceAccountHook, "_stored_connection")


@pytest.fixture
def put(atlas_sandbox, monkeypatch):
    """Store a client secret in the connection, with more extras."""

    def put(secret, url=None, **extra):
        connection = atlas_sandbox.connection | {"password": secret, "extra": extra}
        monkeypatch.setenv(
            "AIRFLOW_CONN_ATLAS_DEFAULT",
            json.dumps(connection | ({"host": url, "port": None} if url is not None else {})),
        )

    return put


@pytest.fixture
def rotate(atlas_sandbox, put):
    """Replace the client secret in Atlas and in the connection; the old one is deleted, and with it its tokens."""
    used = [atlas_sandbox.client_secret]

    def rotate(delete=True, remember=True, **extra):
        new = atlas_sandbox.add_secret(atlas_sandbox.client_id)
        put(new, **({"previous_secret": used[-1]} if remember else {}), **extra)
        if delete:
            atlas_sandbox.delete_secret(used[-1])
        used.append(new)
        return new

    return rotate


def get_token(hook):
    return hook.get_token()


def run(hook):
    return hook.run(GROUPS)


def own(hook):
    with hook as own:
        own.get_token()


CALLS = {
    "get_token": get_token,
    "run": run,
    "session": lambda hook: hook.get_conn().get(GROUPS).raise_for_status(),
    "paginate": lambda hook: list(hook.paginate(GROUPS)),
    "generate_token": lambda hook: hook.generate_token(),
    "revoke_token": lambda hook: hook.revoke_token("eyJ.some.token"),
    "with": own,
}


@pytest.mark.parametrize("scope", ["task", "deployment"])
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_every_method_goes_on_after_the_secret_was_replaced_and_the_old_one_deleted(
    call, scope, atlas_sandbox, rotate, reads, store, caplog
):
    caplog.set_level("INFO")
    hook = AtlasServiceAccountHook(cache_scope=scope)
    if call is run:
        call(hook)  # with a token of the old secret, which Atlas revokes
    assert hook.settings
    new = rotate()
    call(hook)
    assert hook.settings.account.client_secret == new
    assert reads.call_count == 2
    assert caplog.text.count("has another client secret now") == 1


def test_three_rotations_during_one_task_are_three_reads_and_three_lines(rotate, reads, caplog):
    caplog.set_level("INFO")
    hook = AtlasServiceAccountHook()
    for _ in range(3):
        run(hook)
        rotate(remember=False)
    run(hook)
    assert reads.call_count == 4
    assert caplog.text.count("has another client secret now") == 3


def test_the_token_session_and_caches_of_64_threads_go_over_together(atlas_sandbox, rotate, reads, caplog):
    caplog.set_level("INFO")
    hook = AtlasServiceAccountHook()
    run(hook)
    rotate()
    atlas_sandbox.reset_counters()
    start = threading.Barrier(64)

    def call(_):
        start.wait()
        return len(run(hook)["results"]), hook.get_token().value

    with ThreadPoolExecutor(64) as pool:
        found = set(pool.map(call, range(64)))
    assert len(found) == 1
    assert reads.call_count == 2
    assert atlas_sandbox.counters.issued == 1
    assert caplog.text.count("has another client secret now") == 1


def test_a_wrong_secret_costs_one_read_in_a_process_and_no_further_token_request(atlas_sandbox, put, reads):
    put(WRONG)
    hook = AtlasServiceAccountHook()
    assert hook.settings
    for number in range(1, 4):
        with pytest.raises(exceptions.InvalidClient):
            hook.get_token()
        assert reads.call_count == 2
        assert atlas_sandbox.counters.token_requests == number
    with pytest.raises(exceptions.InvalidClient):
        AtlasServiceAccountHook().get_token()
    assert reads.call_count == 3  # this hook's first


def test_a_wrong_secret_is_looked_up_again_after_a_minute(put, reads, mocker, clock, rotate):
    mocker.patch.object(current.time, "monotonic", clock)
    put(WRONG)
    hook = AtlasServiceAccountHook()
    with pytest.raises(exceptions.InvalidClient):
        hook.get_token()
    rotate()
    with pytest.raises(exceptions.InvalidClient):
        hook.get_token()
    clock.now += current.PAUSE
    assert hook.get_token()
    assert reads.call_count == 3


def test_a_hook_made_from_credentials_reads_no_connection(atlas_sandbox, rotate, reads):
    hook = AtlasServiceAccountHook(
        client_id=atlas_sandbox.client_id, client_secret=atlas_sandbox.client_secret, base_url=atlas_sandbox.url
    )
    assert hook.settings
    rotate()
    with pytest.raises(exceptions.InvalidClient):
        hook.get_token()
    assert reads.call_count == 0


def test_a_connection_that_leads_to_another_atlas_url_is_not_followed(atlas_sandbox, put, rotate):
    hook = AtlasServiceAccountHook()
    run(hook)
    new = rotate()
    put(new, url="http://127.0.0.1:9")
    with pytest.raises(exceptions.InvalidClient):
        run(hook)


def test_a_connection_that_cannot_be_read_again_is_an_error_that_airflow_retries(rotate, mocker):
    hook = AtlasServiceAccountHook()
    run(hook)
    rotate()
    mocker.patch.object(
        AtlasServiceAccountHook, "_stored_connection", side_effect=exceptions.ConnectionNotFound("It was not found")
    )
    with pytest.raises(exceptions.ConnectionNotFound):
        run(hook)


@pytest.mark.parametrize("method", ["unseal", "revoke_token"])
def test_a_token_that_a_later_task_sealed_with_the_new_secret_opens(method, rotate, reads, atlas_sandbox):
    hook = AtlasServiceAccountHook()
    assert hook.settings
    rotate(delete=False)
    later = AtlasServiceAccountHook()
    sealed = later.seal(later.get_token())
    getattr(hook, method)(sealed)
    assert hook.settings.account == later.settings.account
    assert reads.call_count == 3


@pytest.mark.parametrize("remember", [True, False])
def test_a_token_that_the_old_secret_sealed_opens_with_the_previous_secret_only(rotate, remember):
    hook = AtlasServiceAccountHook()
    token = hook.get_token()
    sealed = hook.seal(token)
    rotate(delete=False, remember=remember)
    later = AtlasServiceAccountHook()
    if remember:
        assert later.unseal(sealed) == token
    else:
        with pytest.raises(exceptions.InvalidSealedToken):
            later.unseal(sealed)


def test_a_hook_that_went_over_still_opens_what_its_earlier_secrets_sealed(rotate):
    hook = AtlasServiceAccountHook()
    sealed = []
    for _ in range(3):
        run(hook)
        sealed.append(hook.seal(hook.get_token()))
        rotate(remember=False)
    run(hook)
    assert [hook.unseal(text).value for text in sealed]


def test_the_previous_secret_requests_no_token(atlas_sandbox, put, store):
    put(WRONG, previous_secret=atlas_sandbox.client_secret)
    for call in (get_token, run, own):
        with pytest.raises(exceptions.InvalidClient):
            call(AtlasServiceAccountHook())
    assert atlas_sandbox.counters.issued == 0


def test_a_damaged_text_costs_one_read(hook, reads):
    assert hook.settings
    with pytest.raises(exceptions.InvalidSealedToken):
        hook.unseal("atlas-sealed:1:damaged")
    assert reads.call_count == 2


@pytest.mark.parametrize("remember", [True, False])
def test_a_given_token_that_ended_with_its_secret_is_replaced_by_the_deployment_s(
    rotate, store, atlas_sandbox, remember
):
    first = AtlasServiceAccountHook()
    sealed = first.seal(first.generate_token())
    tasks = [AtlasServiceAccountHook(token=sealed) for _ in range(5)]
    for hook in tasks:
        hook.run(GROUPS)
        task._caches.clear()
    rotate(remember=remember)
    atlas_sandbox.reset_counters()
    for hook in tasks:
        hook.run(GROUPS)
        hook.run(GROUPS)
        assert hook.get_token()
        task._caches.clear()
    assert atlas_sandbox.counters.issued == 1


def test_a_given_token_survives_two_rotations_within_a_minute(rotate, store, atlas_sandbox):
    first = AtlasServiceAccountHook()
    hook, shared = AtlasServiceAccountHook(token=first.seal(first.generate_token())), "deployment"
    for _ in range(2):
        hook.run(GROUPS)
        AtlasServiceAccountHook(cache_scope=shared).run(GROUPS)
        rotate()
        hook.run(GROUPS)
        task._caches.clear()
    hook.run(GROUPS)


def test_a_given_token_survives_a_rotation_while_it_waits_for_another_because_of_one(
    rotate, store, atlas_sandbox, mocker
):
    first = AtlasServiceAccountHook()
    hook = AtlasServiceAccountHook(token=first.seal(first.generate_token()))
    hook.run(GROUPS)
    rotate()
    real, waits = tokens.GivenToken._replace, []

    def replace(*arguments):
        found = real(*arguments)
        if not waits:
            waits.append(rotate())
        return found

    mocker.patch.object(tokens.GivenToken, "_replace", replace)
    hook.run(GROUPS)
    assert len(waits) == 1


def test_a_task_that_starts_after_the_rotation_replaces_the_given_token_as_well(rotate, store, atlas_sandbox):
    first = AtlasServiceAccountHook()
    sealed = first.seal(first.generate_token())
    rotate()
    AtlasServiceAccountHook(token=sealed).run(GROUPS)


def test_a_given_token_of_the_old_secret_stays_in_use_while_atlas_accepts_it(rotate, store, atlas_sandbox):
    first = AtlasServiceAccountHook()
    sealed = first.seal(first.generate_token())
    rotate(delete=False)
    atlas_sandbox.reset_counters()
    AtlasServiceAccountHook(token=sealed).run(GROUPS)
    assert atlas_sandbox.counters.token_requests == 0


def test_a_given_token_that_was_revoked_is_expired_if_the_secret_is_the_same(atlas_sandbox, reads):
    first = AtlasServiceAccountHook()
    token = first.generate_token()
    hook = AtlasServiceAccountHook(token=first.seal(token))
    first.revoke_token(token)
    with pytest.raises(exceptions.TokenExpired):
        hook.run(GROUPS)
    assert reads.call_count == 3
    assert atlas_sandbox.counters.token_requests == 1


def sealed_by_an_operator_that_is_overtaken(rotate, mocker, **arguments):
    """What an operator returns whose client secret is replaced just after it has read the connection."""
    operator = GenerateTokenOperator(task_id="generate", **arguments)
    current_of = operator._current

    def rotated_after_the_read():
        found = current_of()
        assert found.settings
        rotate()
        return found

    mocker.patch.object(operator, "_current", rotated_after_the_read)
    return operator.execute({})["token"]


def test_generate_goes_over_and_seals_with_the_new_secret(rotate, mocker):
    sealed = sealed_by_an_operator_that_is_overtaken(rotate, mocker)
    assert AtlasServiceAccountHook().unseal(sealed)


def test_a_rotation_of_the_token_goes_over_and_shares_it_with_the_new_secret(rotate, mocker, store):
    sealed = sealed_by_an_operator_that_is_overtaken(rotate, mocker, share=True)
    assert AtlasServiceAccountHook(cache_scope="deployment").get_token() == AtlasServiceAccountHook().unseal(sealed)


@pytest.mark.parametrize("delete", [True, False])
def test_revoke_opens_and_revokes_what_the_old_secret_sealed(rotate, atlas_sandbox, delete):
    hook = AtlasServiceAccountHook()
    sealed = hook.seal(hook.generate_token())
    rotate(delete=delete)
    RevokeTokenOperator(task_id="revoke", token=sealed).execute({})
    assert atlas_sandbox.counters.active == 0


def test_revoke_reads_the_connection_once_more_for_a_list_that_does_not_open(atlas_sandbox, reads):
    with pytest.raises(exceptions.InvalidSealedToken):
        RevokeTokenOperator(task_id="revoke", token=["atlas-sealed:1:a", "atlas-sealed:1:b"]).execute({})
    assert reads.call_count == 2


def test_the_deployment_s_token_of_the_old_secret_is_not_opened_and_carried_along(rotate, store, atlas_sandbox):
    AtlasServiceAccountHook(cache_scope="deployment").get_token()
    rotate(delete=False, cache_scope="deployment")
    later = AtlasServiceAccountHook()
    later.run(GROUPS)
    (name,) = [name for name in store.texts if "token" in name]
    assert len(json.loads(store.texts[name])["tokens"]) == 2
    assert atlas_sandbox.counters.issued == 2


def test_no_error_log_or_repr_holds_a_secret(rotate, put, says_nothing, atlas_sandbox, store):
    hook = AtlasServiceAccountHook()
    run(hook)
    old = atlas_sandbox.client_secret
    new = rotate()
    run(hook)
    put(WRONG, previous_secret=new)
    other = AtlasServiceAccountHook()
    with pytest.raises(exceptions.InvalidClient) as caught:
        other.get_token()
    says_nothing(caught.value, old, new, WRONG, *atlas_sandbox.issued)
    says_nothing(ValueError(f"{hook.settings!r} {other.settings!r} {vars(hook)!r}"), old, new, WRONG)


def test_a_refused_token_costs_one_read_and_a_fleet_no_request_with_the_old_secret(atlas_sandbox, rotate, reads, store):
    hooks = [AtlasServiceAccountHook(cache_scope="deployment") for _ in range(10)]
    for hook in hooks:
        run(hook)
    rotate()
    atlas_sandbox.reset_counters()
    for hook in hooks:
        run(hook)
        task._caches.clear()
    assert reads.call_count == 20
    assert (atlas_sandbox.counters.token_requests, atlas_sandbox.counters.credentials_refused) == (1, 0)


def test_a_token_that_was_revoked_costs_one_read_and_the_next_rotation_is_still_noticed(
    hook, atlas_sandbox, rotate, reads
):
    run(hook)
    atlas_sandbox.revoke(hook.get_token().value)
    run(hook)
    assert reads.call_count == 2
    rotate()
    hook.generate_token()
    assert reads.call_count == 3


@pytest.mark.parametrize("failure", [exceptions.ConnectionNotFound, exceptions.InvalidConnection])
def test_a_token_that_was_revoked_is_replaced_although_the_connection_cannot_be_read(
    hook, atlas_sandbox, mocker, failure
):
    run(hook)
    atlas_sandbox.revoke(hook.get_token().value)
    mocker.patch.object(AtlasServiceAccountHook, "_stored_connection", side_effect=failure("It is being edited"))
    run(hook)


def test_after_its_block_a_hook_requests_no_token_with_another_client_secret_either(rotate, atlas_sandbox):
    with AtlasServiceAccountHook() as hook:
        hook.get_token()
    rotate()
    hook.current.token_refused(hook.settings, "refused")
    requests = atlas_sandbox.counters.token_requests
    with pytest.raises(exceptions.InvalidCall, match="at the end of its with block"):
        hook.get_token()
    assert atlas_sandbox.counters.token_requests == requests


def test_64_threads_with_one_refused_token_read_the_connection_once(hook, atlas_sandbox, reads):
    run(hook)
    atlas_sandbox.revoke(hook.get_token().value)
    with ThreadPoolExecutor(64) as pool:
        list(pool.map(lambda _: run(hook), range(64)))
    assert reads.call_count == 2


def test_a_refusal_about_rights_reads_no_connection(atlas_sandbox, monkeypatch, reads):
    client_id, secret = atlas_sandbox.add_account(rights=False)
    connection = atlas_sandbox.connection | {"login": client_id, "password": secret}
    monkeypatch.setenv("AIRFLOW_CONN_ATLAS_DEFAULT", json.dumps(connection))
    with pytest.raises(exceptions.AtlasApiError):
        run(AtlasServiceAccountHook())
    assert reads.call_count == 1
