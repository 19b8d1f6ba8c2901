"""The rotation of a client secret: what a run does, and what the next one does about how it ended."""

from __future__ import annotations

import json
from datetime import timedelta
from itertools import repeat

import pytest
from airflow.providers.common.compat.sdk import AirflowFailException

from airflow_provider_atlas import exceptions, metrics
from airflow_provider_atlas.hooks import rotation
from airflow_provider_atlas.hooks.service_account import AtlasServiceAccountHook
from airflow_provider_atlas.operators.secret import RotateClientSecretOperator
from tests.operators.rotating import DAY, HOUR, Killed, World


@pytest.fixture
def world(atlas_sandbox, monkeypatch):
    atlas_sandbox.rate_limit, atlas_sandbox.token_cap = 10_000, 10_000
    return World(atlas_sandbox, monkeypatch)


@pytest.fixture
def due(world):
    """The secret in use expires in 10 days."""
    world.expire_in(10)
    return world


def record(world):
    (text,) = [text for name, text in world.variables.texts.items() if name.count("_") == 2]
    return json.loads(text)


def test_a_secret_that_is_valid_for_long_enough_is_a_skip(world):
    world.expire_in(15)
    assert world.run() == "skipped"
    assert (world.written, len(world.secrets)) == ([], 1)


@pytest.mark.parametrize(("days", "left"), [(15, 15), (10, 90)], ids=["nothing to do", "rotated"])
def test_each_run_reports_the_days_left(world, mocker, days, left):
    stats = mocker.patch.object(metrics, "Stats")
    world.expire_in(days)
    world.run()
    (call,) = [call for call in stats.gauge.call_args_list if call.args[0] == "atlas.secret.days_left"]
    assert call.args[1] == pytest.approx(left, abs=0.01)


def test_a_due_secret_is_replaced_and_the_old_one_stays(due):
    old = due.ids[0]
    result = due.run(expires_after=timedelta(days=30))
    assert len(due.secrets) == 2
    new = due.secrets[1]
    assert due.secret == new.value
    assert new.expires - new.created == 30 * DAY
    assert result == {"secret_id": new.id, "expires_at": result["expires_at"], "retired": []}
    assert due.works()
    assert due.ids[0] == old
    assert new.last_used is not None  # a token was requested with it
    assert due.sandbox.counters.active == 1  # the test's own


def test_the_order_is_try_record_check_record_create_record_store_verify_record(due):
    due.run()
    done = [name for name in due.steps.names if name != "claim"]
    assert done == [
        *(
            "generate",
            "generate",
            "revoke",
            "record",
            "check",
            "record",
            "create",
            "record",
            "write",
            "generate",
            "revoke",
            "record",
        ),
        *("remove", "remove", "revoke"),
    ]


def test_the_old_secret_is_deleted_in_a_later_run_once_it_was_not_used_for_as_long_as_a_token_lives(due):
    old = due.ids[0]
    due.run()
    due.now += 30 * 60
    assert due.run() == "skipped"
    due.now += HOUR
    assert due.run()["retired"] == [old]
    assert due.works()
    assert len(due.secrets) == 1
    assert due.run() == "skipped"


def test_a_run_that_waited_for_another_goes_on_with_what_that_one_stored(due, monkeypatch):
    claimed = rotation.Rotation._claimed

    def after_another(self):
        monkeypatch.setattr(rotation.Rotation, "_claimed", claimed)
        due.run()
        return claimed(self)

    monkeypatch.setattr(rotation.Rotation, "_claimed", after_another)
    assert due.run() == "skipped"
    assert due.works()
    assert (len(due.written), len(due.secrets)) == (1, 2)


def test_a_lifetime_that_atlas_would_cut_is_refused_when_the_dag_is_parsed(due):
    with pytest.raises(ValueError, match="whole hours"):
        due.run(expires_after=timedelta(days=14, minutes=30))


def test_an_old_secret_that_somebody_still_uses_stays(due):
    due.run()
    due.now += DAY
    due.secrets[0].last_used = due.now - 60
    assert due.run() == "skipped"
    assert len(due.secrets) == 2


def test_an_expired_old_secret_is_deleted_even_if_it_was_used_just_now(due):
    due.run()
    due.secrets[0].last_used = due.secrets[0].expires = due.now - 1
    assert len(due.run()["retired"]) == 1
    assert due.works()


def test_many_rotations_leave_one_or_two_secrets_and_the_stored_one_works(due):
    for _ in range(8):
        due.run()
        assert due.works()
        assert len(due.secrets) == 2
        due.now += 80 * DAY
    assert len(due.written) == 8


def test_two_secrets_in_use_are_an_error_that_names_the_other_one(due):
    due.run()
    due.expire_in(3, number=1)
    due.secrets[0].last_used = due.now
    with pytest.raises(exceptions.ClientSecretsInUse) as caught:
        due.run()
    assert f"The connection holds {due.ids[1]}, and {due.ids[0]} (created" in str(caught.value)
    assert isinstance(caught.value, AirflowFailException)
    assert len(due.written) == 1


def test_two_secrets_of_which_none_is_recorded_are_an_error_and_nothing_is_deleted(due):
    due.sandbox.add_secret(due.sandbox.client_id)
    with pytest.raises(exceptions.ClientSecretsInUse) as caught:
        due.run()
    assert all(each in str(caught.value) for each in due.ids)
    assert (len(due.secrets), due.written) == (2, [])


def test_a_secret_that_somebody_created_by_hand_is_not_deleted(world):
    world.expire_in(100)
    assert world.run() == "skipped"  # it records the one in use
    world.sandbox.add_secret(world.sandbox.client_id)
    world.now += 2 * DAY
    with pytest.raises(exceptions.ClientSecretsInUse, match="takes the other slot"):
        world.run()  # the one in use has 5 days left
    assert len(world.secrets) == 2


def test_a_secret_that_was_created_and_stored_by_hand_is_the_one_in_use(world):
    world.expire_in(100)
    world.run()
    world.secret = world.sandbox.add_secret(world.sandbox.client_id)
    world._show()
    old = world.ids[0]
    world.now += 2 * DAY
    assert world.run()["retired"] == [old]
    assert world.works()


def test_another_account_can_rotate_for_one_that_may_not(due, admin):
    due.sandbox.accounts[due.sandbox.client_id].roles = ()
    with pytest.raises(exceptions.AtlasApiError, match="NOT_ORG_OWNER"):
        due.run()
    assert due.run(**admin)["secret_id"] == due.ids[1]


def test_a_function_is_a_store(due):
    operator = RotateClientSecretOperator(task_id="rotate", store=due.write, org_id=due._org)
    assert operator.execute({})["secret_id"] == due.ids[1]


def test_a_lifetime_that_would_make_each_run_rotate_is_refused():
    with pytest.raises(ValueError, match="longer than rotate_before"):
        RotateClientSecretOperator(task_id="rotate", store=print, org_id="x", expires_after=timedelta(days=14))


# A run that ends at any step.


def steps_of_a_run(world):
    """The names of all steps of a run that rotates."""
    world.run()
    return world.steps.names


def check(world):
    """What must be true after the next run."""
    assert world.works(), "the stored secret does not work"
    assert len(world.secrets) <= 2
    return [secret.value for secret in world.secrets]


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("number", range(26))
def test_a_run_that_is_killed_is_finished_or_undone_by_the_next(due, number, when):
    old = due.secret
    due.steps.stop_at = number, when
    try:
        due.run()
        if (number, when) == (25, "after"):
            assert len(due.steps.names) <= 26, "the sweep does not reach the last step"
        killed_at = None
    except Killed:
        killed_at = due.steps.names[-1]
    due.steps.stop_at = None
    due.now += 1  # an operator's retry
    due.run()
    values = check(due)
    assert due.secret != old, killed_at
    # None is lost: the other one is the secret that was stored before.
    assert set(values) == {old, due.secret}, killed_at
    assert record(due)["before"] is None
    due.now += 2 * HOUR
    due.run()
    assert check(due) == [due.secret]


def test_the_sweep_of_kills_covers_every_step(due):
    assert len(steps_of_a_run(due)) <= 26


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_run_that_is_killed_while_it_deletes_the_old_secret_is_finished_by_the_next(due, when):
    due.run()
    due.now += 2 * HOUR
    due.steps.stop_at = None
    names = []
    for number in range(30):
        due.steps.stop_at = number, when
        try:
            due.run()
            break
        except Killed:
            names.append(due.steps.names[-1])
        assert due.works()
    assert "delete" in names
    due.steps.stop_at = None
    due.run()
    assert check(due) == [due.secret]


FAULTS = {
    "403": {"status": 403},
    "409": {"status": 409},
    "429": {"status": 429},
    "500": {"status": 500},
    "503": {"status": 503},
    "drop": {"kind": "drop"},
    "lost": {"kind": "lost"},
    "lost 500": {"kind": "lost", "status": 500},
}


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize(
    ("endpoint", "method", "path"),
    [
        ("api", "GET", "/serviceAccounts/"),
        ("api", "POST", "/secrets"),
        ("api", "DELETE", "/secrets/"),
        ("token", None, ""),
        ("revoke", None, ""),
    ],
    ids=["list", "create", "delete", "token", "revoke"],
)
def test_whatever_atlas_refuses_the_run_after_the_next_has_rotated(due, endpoint, method, path, fault):
    """A refusal of each request, one at a time, in the run that rotates and in the one that deletes."""
    old = due.secret
    due.sandbox.fail_next(endpoint, method=method, path=path, **fault)
    for _ in range(4):
        try:
            due.run()
        except exceptions.AtlasError:
            assert due.works()
        due.now += 2 * HOUR
    assert check(due) == [due.secret]
    assert due.secret != old
    assert len(due.written) == 1 or endpoint == "token"
    assert due.sandbox.counters.faults == 1


@pytest.mark.parametrize("number", range(1, 4))
@pytest.mark.parametrize("endpoint", ["token", "revoke"])
def test_a_refused_token_request_of_any_step_is_made_up_for_by_the_next_run(due, endpoint, number):
    generate, made = due.sandbox.fail_next, 0
    old = due.secret
    write = due.write

    def fail_after_the_write(*args):
        nonlocal made
        write(*args)
        made += 1
        if made == 1:
            generate(endpoint, times=number, status=500)

    due.write = fail_after_the_write
    for _ in range(number + 3):
        try:
            due.run()
        except exceptions.AtlasError:
            assert due.works()
        due.now += 2 * HOUR
    assert check(due) == [due.secret]
    assert due.secret != old
    assert made == 1


@pytest.mark.parametrize("what", ["check", "write", "written"])
def test_a_store_that_fails_is_an_error_without_its_text_and_the_next_run_goes_on(due, what, says_nothing):
    due.fails[what] = repeat(RuntimeError("with mdb_sa_sk_some-secret"))
    with pytest.raises(exceptions.SecretStoreUnavailable, match="RuntimeError") as caught:
        due.run()
    says_nothing(caught.value, "mdb_sa_sk_some-secret", *due.written)
    assert len(due.secrets) == (1 if what == "check" else 2)
    assert due.works()
    due.fails.clear()
    due.run()
    assert due.works()
    assert due.secret == due.secrets[-1].value
    # The next run cannot tell whether a write that failed will show yet, so it writes the old secret again.
    assert len(set(due.written)) == (3 if what == "write" else 1)


@pytest.mark.parametrize("what", ["write", "written"])
def test_a_new_secret_is_not_lost_to_a_store_that_fails_for_half_a_minute(due, what, caplog):
    due.fails[what], began = iter([RuntimeError("with mdb_sa_sk_some-secret")] * 15), due.now
    assert due.run()["secret_id"] == due.ids[-1]
    assert due.now - began >= 30
    assert due.secret == due.secrets[-1].value
    assert len(set(due.written)) == 1
    records = [each for each in caplog.records if each.name == rotation.log.name and each.levelname == "WARNING"]
    (warning,) = [each.getMessage() for each in records]
    assert warning.startswith("The store of the client secret cannot be written (RuntimeError). ")
    assert warning.endswith(" Trying again for 60 s.")
    assert "mdb_sa_sk" not in warning


def test_a_store_that_keeps_the_old_value_is_an_error_and_the_next_run_deletes_the_new_secret(due):
    old = due.secret
    due.keeps_old = True
    for written in (1, 3):  # the second run writes the old secret again before it deletes the new one
        with pytest.raises(exceptions.SecretNotStored):
            due.run()
        assert (len(due.written), len(due.secrets), due.secret) == (written, 2, old)
        assert due.works()
    due.keeps_old = False
    due.run()
    assert due.secret == due.written[-1]
    assert {secret.value for secret in due.secrets} == {old, due.secret}


def test_a_store_that_shows_the_new_value_late_is_finished_by_the_next_run(due):
    due.keeps_old = True
    with pytest.raises(exceptions.SecretNotStored):
        due.run()
    (due.secret,) = due.written
    due._show()
    assert due.run()["secret_id"] == due.ids[1]
    assert len(due.written) == 1


def test_a_stored_secret_that_a_cache_hides_longer_than_until_the_next_run_is_written_over_before_it_is_deleted(due):
    """A secrets backend caches for five minutes, the retry comes after two, and its own creation fails."""
    in_store = [due.secret]
    write, due.write = due.write, lambda conn_id, client_id, new, previous: in_store.append(new)
    with pytest.raises(exceptions.SecretNotStored):
        due.run()
    due.now += 120
    due.sandbox.fail_next("api", method="POST", path="/secrets", status=500)
    with pytest.raises(exceptions.AtlasApiError):
        due.run()
    due.secret, due.write = in_store[-1], write
    due._show()
    assert due.works()
    due.run()
    assert due.works()


def test_a_second_connection_of_the_account_cannot_have_a_rotation_of_its_own(due, monkeypatch):
    due.run()
    monkeypatch.setenv("AIRFLOW_CONN_SECOND", json.dumps(due.sandbox.connection))
    due.now += 3 * HOUR
    with pytest.raises(exceptions.RotatedElsewhere, match="atlas_default"):
        due.run(atlas_conn_id="second")
    assert due.works()
    assert len(due.secrets) == 2


@pytest.fixture
def admin(world, monkeypatch):
    client_id, secret = world.sandbox.add_account()
    connection = world.sandbox.connection | {"login": client_id, "password": secret}
    monkeypatch.setenv("AIRFLOW_CONN_ADMIN", json.dumps(connection))
    return {"admin_conn_id": "admin"}


@pytest.mark.parametrize("recorded", [True, False])
def test_a_mistyped_secret_in_the_connection_is_an_error_and_is_neither_recorded_nor_a_reason_to_delete(
    world, admin, recorded
):
    world.expire_in(100)
    if recorded:
        world.run(**admin)
        world.sandbox.add_secret(world.sandbox.client_id)  # by hand, for another purpose
        world.expire_in(100)
        world.now += 3 * HOUR
    right, ids, before = world.secret, world.ids, dict(world.variables.texts)
    world.secret = "mdb_sa_sk_typing-error"
    world._show()
    with pytest.raises(exceptions.InvalidClient):
        world.run(**admin)
    assert world.ids == ids
    names = {name for name in world.variables.texts if name.count("_") == 2}
    assert all(world.variables.texts[name] == before.get(name) for name in names)
    world.secret = right
    world._show()
    assert world.run(**admin) == "skipped"


def test_an_expired_secret_is_replaced_by_another_account_s_rights(world, admin):
    world.expire_in(-1)
    assert world.run(**admin)["secret_id"] == world.ids[-1]
    assert world.works()


def test_of_two_secrets_that_are_not_recorded_the_one_that_has_not_expired_is_the_connection_s(world):
    expired = world.ids[0]
    world.secret = world.sandbox.add_secret(world.sandbox.client_id)
    world._show()
    world.expire_in(-1)
    world.expire_in(60, number=1)
    assert world.run()["retired"] == [expired]
    assert world.works()


@pytest.mark.parametrize("what", ["missed", "down"])
def test_variables_that_cannot_be_read_while_the_store_fails_do_not_end_the_repeated_writes(due, what):
    names = rotation.rotation_names_for(AtlasServiceAccountHook().settings.account)
    write, asked = due.write, []

    def failing_once(*args):
        asked.append(args)
        due.variables.down = what == "down" and len(asked) == 1
        if len(asked) == 1:
            due.variables.missed[names.holder] = 1
            raise ConnectionError
        write(*args)

    def sleep(seconds):
        due.now += seconds
        due.variables.down = False

    due.write, rotation.time.sleep = failing_once, sleep
    due.run()
    assert due.secret == due.secrets[1].value
    assert len(asked) == 2


def test_a_record_that_one_read_does_not_find_is_looked_for_again(due):
    due.run()
    names = rotation.rotation_names_for(AtlasServiceAccountHook().settings.account)
    due.variables.missed[names.record] = 1
    assert due.run() == "skipped"
    assert due.variables.missed[names.record] == 0


def test_a_creation_whose_request_timed_out_at_atlas_may_have_made_a_secret(due):
    due.sandbox.fail_next("api", method="POST", path="/secrets", kind="lost", status=408)
    with pytest.raises(exceptions.AtlasApiError):
        due.run()
    lost = due.ids[1]
    due.run()
    assert lost not in due.ids
    assert due.secret == due.secrets[1].value


def test_no_write_begins_so_late_that_it_could_end_after_the_claim(due):
    before = due.check

    def late(*args):
        before(*args)
        due.now += rotation.HOLD - rotation.WRITE

    due.check = late
    with pytest.raises(exceptions.RotationUnderWay, match="took longer"):
        due.run()
    assert due.written == []


def test_a_claim_that_cannot_be_removed_is_no_error_and_goes_stale(due):
    remove = due.variables.remove

    def down(name):
        raise exceptions.StoreUnavailable

    due.variables.remove = down
    assert due.run()["secret_id"] == due.ids[1]
    due.variables.remove = remove
    assert due.run() == "skipped"


def test_the_record_says_that_it_is_to_be_kept(due, mocker):
    made = mocker.patch.object(rotation, "Variables", return_value=rotation.Variables())
    due.run()
    assert made.call_args.args[0].endswith("keep it.")


@pytest.mark.parametrize("number", range(12))
def test_variables_that_fail_at_any_write_lose_no_secret(due, number):
    old, count = due.secret, 0

    def fail(name, text):
        nonlocal count
        count += 1
        if count == number + 1:
            raise exceptions.StoreUnavailable

    due.variables.before_write = fail
    for _ in range(3):
        try:
            due.run()
        except exceptions.AtlasError:
            assert due.works()
        due.now += 2 * HOUR
    assert check(due) == [due.secret]
    assert due.secret != old


def test_variables_that_do_not_keep_the_record_are_an_error_before_anything_is_created(due):
    name = rotation.rotation_names_for(AtlasServiceAccountHook().settings.account).record
    due.variables.hidden[name] = None
    with pytest.raises(exceptions.StoreUnavailable, match="does not keep"):
        due.run()
    assert len(due.secrets) == 1


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "7", '{"known": 7}', '{"before": 7}', '{"later": 1}', '{"began": "x"}', '{"known": {"a": []}}'],
)
def test_a_record_that_cannot_be_read_counts_as_none(due, text):
    name = rotation.rotation_names_for(AtlasServiceAccountHook().settings.account).record
    due.variables.texts[name] = text
    due.run()
    assert due.works()
    assert len(due.secrets) == 2


def test_a_new_secret_that_was_used_is_not_taken_for_a_lost_one(due):
    due.keeps_old = True
    with pytest.raises(exceptions.SecretNotStored):
        due.run()
    due.secrets[1].last_used = due.now
    with pytest.raises(exceptions.ClientSecretsInUse, match=due.ids[1]):
        due.run()
    assert len(due.secrets) == 2


def test_a_secret_that_somebody_creates_days_after_a_run_was_killed_is_not_taken_for_a_lost_one(due):
    due.steps.stop_at = "create", "before"
    with pytest.raises(Killed):
        due.run()
    due.now += 2 * DAY
    due.steps.stop_at = None
    due.sandbox.add_secret(due.sandbox.client_id)
    with pytest.raises(exceptions.ClientSecretsInUse):
        due.run()
    assert len(due.secrets) == 2


@pytest.fixture
def other(due):
    """The claim of another run, which became the holder and does not end."""
    names = rotation.rotation_names_for(AtlasServiceAccountHook().settings.account)
    clock = lambda: due.now  # noqa: E731
    other = rotation.Claim(due.variables, names.claim, names.holder, clock=clock, monotonic=clock, sleep=due.sleep)
    with other.held(rotation.HOLD) as ours:
        assert ours
        yield other


def test_a_second_run_waits_until_the_first_must_have_ended_and_then_that_one_changes_nothing(due, other):
    began = due.now
    due.run()
    assert due.works()
    assert due.now - began >= rotation.HOLD
    assert not other.stands()


def test_a_run_that_cannot_get_the_claim_ends_in_an_error(due, other, mocker):
    mocker.patch.object(rotation.Claim, "look", return_value=(True, 0.0))
    with pytest.raises(exceptions.RotationUnderWay, match="max_active_runs=1"):
        due.run()
    assert due.written == []


def test_a_run_that_took_too_long_stores_and_deletes_nothing_more(due):
    before = due.check

    def slow(*args):
        before(*args)
        due.now += 2 * rotation.HOLD

    due.check = slow
    with pytest.raises(exceptions.RotationUnderWay, match="took longer"):
        due.run()
    assert (len(due.secrets), due.written) == (1, [])


def test_nothing_that_a_run_leaves_or_says_holds_a_secret(due, says_nothing, caplog):
    old, results = due.secret, []
    for _ in range(2):
        results.append(due.run())
        due.now += 2 * HOUR
    due.keeps_old = True
    due.expire_in(3)
    with pytest.raises(exceptions.SecretNotStored) as caught:
        due.run()
    says_nothing(
        ValueError(json.dumps([results, due.variables.texts]) + str(caught.value)),
        old,
        *due.written,
        *due.sandbox.issued,
    )


def test_the_new_secret_is_masked_before_the_store_sees_it(due, mocker):
    mask = mocker.patch.object(rotation, "mask_secret")
    write = due.write

    def masked_already(conn_id, client_id, new, previous):
        assert new in [call.args[0] for call in mask.call_args_list]
        write(conn_id, client_id, new, previous)

    due.write = masked_already
    due.run()


def test_a_secret_that_atlas_accepts_late_is_verified_again_for_a_minute(due, mocker):
    refused = due.write

    def write(*args):
        refused(*args)
        due.sandbox.fail_next("token", times=5, status=401, body='{"error": "invalid_client"}')

    due.write = write
    due.run()
    assert due.works()
    assert due.sandbox.counters.faults == 5


def test_a_secret_that_atlas_does_not_accept_is_an_error_and_the_next_run_verifies_it_again(due):
    refused = due.write

    def write(*args):
        refused(*args)
        due.sandbox.fail_next("token", times=50, status=401, body='{"error": "invalid_client"}')

    due.write = write
    with pytest.raises(exceptions.InvalidClient):
        due.run()
    due.sandbox.faults["token"].clear()
    assert due.run()["secret_id"] == due.ids[1]
    assert len(due.written) == 1


def test_a_connection_that_is_not_found_while_it_is_read_back_is_looked_for_again(due, mocker):
    read, missed = AtlasServiceAccountHook._stored_connection, 0

    def flaky(hook):
        nonlocal missed
        if due.written and missed < 3:
            missed += 1
            raise exceptions.ConnectionNotFound
        return read(hook)

    mocker.patch.object(AtlasServiceAccountHook, "_stored_connection", flaky)
    due.run()
    assert (due.works(), missed) == (True, 3)


def test_an_error_of_this_provider_in_a_store_keeps_its_type(due):
    due.fails["check"] = iter([exceptions.SecretStoreUnavailable("The store is sealed")])
    with pytest.raises(exceptions.SecretStoreUnavailable, match="The store is sealed"):
        due.run()


@pytest.mark.parametrize("failure", ["write", "written", "keeps old", "refused"])
def test_no_frame_of_this_package_in_an_error_s_traceback_holds_a_secret(due, failure):
    if failure == "keeps old":
        due.keeps_old = True
    elif failure == "refused":
        due.sandbox.fail_next("api", method="POST", status=500)
    else:
        due.fails[failure] = repeat(RuntimeError("of the store"))
    with pytest.raises(exceptions.AtlasError) as caught:
        due.run()
    frames, trace = [], caught.value.__traceback__
    while trace is not None:
        if "airflow_provider_atlas" in trace.tb_frame.f_code.co_filename:
            frames.append(trace.tb_frame)
        trace = trace.tb_next
    assert frames
    seen = repr(
        [
            {key: vars(value) if hasattr(value, "__dict__") else value for key, value in frame.f_locals.items()}
            for frame in frames
        ]
    )
    assert not [secret for secret in (due.secret, *due.written) if secret in seen]
