"""The sensor: each argument of ``BaseSensorOperator`` means the same on a worker, rescheduled and deferred."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest
from airflow.providers.common.compat.sdk import (
    DAG,
    AirflowFailException,
    AirflowSensorTimeout,
    AirflowSkipException,
    AirflowTaskTimeout,
    TaskDeferred,
)

try:
    from airflow.sdk.exceptions import AirflowRescheduleException
except ImportError:
    from airflow.exceptions import AirflowRescheduleException

from airflow_provider_atlas.exceptions import AtlasApiError, AtlasJobFailed, InvalidCall
from airflow_provider_atlas.hooks.watch import Watch
from airflow_provider_atlas.operators.api import AtlasOperator
from airflow_provider_atlas.sensors import api as module
from airflow_provider_atlas.sensors.api import AtlasSensor
from tests.operators.jobs import CLUSTERS, PROJECT, fire, on_clock

CLUSTER = "/api/atlas/v2/groups/{groupId}/clusters/{name}"
IDLE_PAUSED = {"stateName": "IDLE", "paused": True}
WAYS = ("poke", "reschedule", "deferred")


@pytest.fixture
def sandbox(atlas_sandbox, clock, monkeypatch, hook):
    on_clock(clock, atlas_sandbox, monkeypatch)
    base = pytest.importorskip("airflow.sdk.bases.sensor")
    ours = SimpleNamespace(time=clock, monotonic=clock, sleep=clock.sleep)
    monkeypatch.setattr(module, "time", ours)
    monkeypatch.setattr(base, "time", ours)
    now = SimpleNamespace(utcnow=lambda: datetime.fromtimestamp(clock.now, UTC))
    monkeypatch.setattr(base, "timezone", now)
    hook.run(CLUSTERS)
    return atlas_sandbox


def sensor(way, **kwargs):
    defaults = {"endpoint": CLUSTER, "path": {"groupId": PROJECT, "name": "cluster-0"}, "until": IDLE_PAUSED}
    mode = "reschedule" if way == "reschedule" else "poke"
    return AtlasSensor(task_id="wait", **{**defaults, "mode": mode, "deferrable": way == "deferred", **kwargs})


class Ti:
    def __init__(self, clock):
        self.first, self.clock = None, clock

    def xcom_push(self, key, value):
        pass

    def get_first_reschedule_date(self, context):
        return self.first


def run(task, clock):
    """Run the sensor until it ends, in whatever way, as Airflow does."""
    context = {"ti": Ti(clock)}
    step = lambda: task.execute(context)  # noqa: E731
    for _ in range(500):
        began = datetime.fromtimestamp(clock.now, UTC)
        try:
            return step()
        except AirflowRescheduleException as again:
            context["ti"].first = context["ti"].first or began
            clock.now = max(clock.now, again.reschedule_date.timestamp())
            task._looks = None  # another process
        except TaskDeferred as deferred:
            event = fire(deferred)
            step = lambda event=event: task.resume_execution("execute_complete", {"event": event}, context)  # noqa: E731
    raise AssertionError("The sensor does not end")


@pytest.fixture(params=WAYS)
def way(request):
    return request.param


def test_it_returns_the_named_fields_once_the_condition_holds(sandbox, clock, hook, way):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json={"paused": True})
    clock.now += 10
    began = clock.now
    assert run(sensor(way, returns=["name", "paused"]), clock) == {"name": "cluster-0", "paused": True}
    assert clock.now - began >= 110


def test_what_holds_already_needs_no_wait(sandbox, clock, way):
    began = clock.now
    assert run(sensor(way, until={"name": "cluster-0"}, returns="name"), clock) == "cluster-0"
    assert clock.now == began


def test_a_job_that_has_failed_before_the_first_look_fails_the_task(sandbox, clock, way):
    with pytest.raises(AtlasJobFailed):
        run(sensor(way, until={"name": "cluster-0"}, fail_if={"stateName": "IDLE"}), clock)


def test_a_job_that_fails_while_the_sensor_waits_fails_the_task(sandbox, clock, hook, way):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json={"paused": True})
    clock.now += 10
    fail_if = {"stateName": "IDLE", "paused": True}
    with pytest.raises(AtlasJobFailed):
        run(sensor(way, until={"stateName": "NO"}, fail_if=fail_if), clock)


@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [
        ({}, AirflowSensorTimeout),
        ({"soft_fail": True}, AirflowSkipException),
        ({"never_fail": True}, AirflowSensorTimeout),
    ],
)
def test_timeout_counts_from_the_first_look(sandbox, clock, way, kwargs, kind):
    began = clock.now
    with pytest.raises(kind):
        run(sensor(way, timeout=300, poke_interval=50, **kwargs), clock)
    assert 300 <= clock.now - began <= 370


@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [({}, AtlasJobFailed), ({"soft_fail": True}, AirflowSkipException), ({"never_fail": True}, AirflowSkipException)],
)
def test_soft_fail_and_never_fail_skip_a_failed_job(sandbox, clock, hook, way, kwargs, kind):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json={"paused": True})
    with pytest.raises(kind):
        run(
            sensor(way, until={"stateName": "NO"}, fail_if={"stateName": "UPDATING"}, poke_interval=20, **kwargs), clock
        )


@pytest.mark.parametrize("looks", [0, 1])
@pytest.mark.parametrize(
    ("kwargs", "kind"),
    [({}, AtlasApiError), ({"soft_fail": True}, AtlasApiError), ({"never_fail": True}, AirflowSkipException)],
)
def test_a_refusal_is_skipped_by_never_fail_only(sandbox, clock, way, kwargs, kind, looks):
    if looks:
        sandbox.fail_next("api", status=500)
    sandbox.fail_next("api", error_code="USER_UNAUTHORIZED", status=403)
    with pytest.raises(kind):
        run(sensor(way, **kwargs), clock)


@pytest.mark.parametrize("looks", [0, 1])
def test_silent_fail_goes_on_after_a_refusal(sandbox, clock, way, looks):
    if looks:
        sandbox.fail_next("api", status=500)
    sandbox.fail_next("api", error_code="USER_UNAUTHORIZED", status=403)
    assert run(sensor(way, until={"name": "cluster-0"}, returns="name", silent_fail=True), clock) == "cluster-0"


@pytest.mark.parametrize("fault", [{"status": 500}, {"status": 503}, {"status": 429}, {"kind": "drop"}], ids=str)
def test_a_hiccup_is_not_yet(sandbox, clock, way, fault):
    sandbox.fail_next("api", times=2, **fault)
    assert run(sensor(way, until={"name": "cluster-0"}, returns="name"), clock) == "cluster-0"


def test_the_interval_is_the_sensor_s(sandbox, clock, way):
    before = sandbox.counters.api_requests
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(way, timeout=1000, poke_interval=100), clock)
    assert 9 <= sandbox.counters.api_requests - before <= 12


def test_exponential_backoff_looks_less_often_up_to_max_wait(sandbox, clock, way, monkeypatch):
    read = Watch._read

    def takes_a_second(self, hook):
        clock.now += 1
        return read(self, hook)

    monkeypatch.setattr(Watch, "_read", takes_a_second)
    before = sandbox.counters.api_requests
    with pytest.raises(AirflowSensorTimeout):
        run(sensor(way, timeout=5000, poke_interval=20, exponential_backoff=True, max_wait=1000), clock)
    assert 7 <= sandbox.counters.api_requests - before <= 14


def test_a_404_can_be_the_wish(sandbox, clock, hook, way):
    hook.run(f"{CLUSTERS}/cluster-0", "DELETE")
    assert run(sensor(way, until={"$found": False}, returns="$found"), clock) is False


def test_execution_timeout_holds_while_deferred(sandbox, clock):
    task = sensor("deferred", execution_timeout=timedelta(seconds=100))
    with pytest.raises(AirflowTaskTimeout):
        run(task, clock)


def test_a_deferral_that_airflow_times_out_is_a_timeout_of_the_sensor(sandbox, clock):
    with pytest.raises(AirflowSensorTimeout):
        sensor("deferred").resume_execution("__fail__", {"error": "Trigger timeout"}, {})
    with pytest.raises(AirflowSkipException):
        sensor("deferred", soft_fail=True).resume_execution("__fail__", {"error": "Trigger timeout"}, {})


def test_conditions_are_checked_when_the_dag_is_parsed():
    with pytest.raises(ValueError, match=r"^until"):
        sensor("poke", until={})
    with pytest.raises(ValueError, match=r"^fail_if"):
        sensor("poke", fail_if={"a": object()})
    assert issubclass(AtlasJobFailed, AirflowFailException)


def test_the_link_is_there_after_a_deferral_too(sandbox, clock, hook):
    hook.run(f"{CLUSTERS}/cluster-0", "PATCH", json={"paused": True})
    clock.now += 10
    context = {"ti": Ti(clock)}
    with pytest.raises(TaskDeferred) as deferred:
        sensor("deferred").execute(context)
    resumed = sensor("deferred")  # in another process
    resumed.execute_complete(context, fire(deferred.value))
    assert "cluster-0" in resumed.operator_extra_links[0].get_link(resumed, ti_key=None)


def test_a_timeout_names_what_can_be_allowed_more(sandbox, clock):
    with pytest.raises(AirflowSensorTimeout, match=r"did not end in time.*a sensor's timeout"):
        run(sensor("deferred", timeout=300), clock)


@pytest.mark.parametrize("rendered", [None, {}, "IDLE", [[{"paused": True}]]])
def test_a_condition_that_templates_spoilt_is_an_invalid_call(sandbox, clock, way, rendered):
    task = sensor(way)
    task.until = rendered
    with pytest.raises(InvalidCall, match="until"):
        run(task, clock)


def test_a_condition_may_come_from_another_task():
    with DAG("dag", schedule=None, start_date=datetime(2025, 1, 1, tzinfo=UTC)):
        condition = AtlasOperator(task_id="condition", endpoint=CLUSTERS)
        assert AtlasSensor(task_id="wait", endpoint=CLUSTERS, until=condition.output).upstream_task_ids == {"condition"}


def test_a_sensor_without_a_condition_is_refused_when_the_dag_is_parsed(way):
    with pytest.raises(ValueError, match="until must be"):
        sensor(way, until=None)
