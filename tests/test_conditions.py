"""Conditions: what holds, and what is refused when the DAG is parsed."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.conditions import check, holds, leaves, pick, public, unmet

CLUSTER = {
    "stateName": "IDLE",
    "paused": True,
    "diskSizeGB": 10.0,
    "replicationSpecs": [{"regionConfigs": [{"electableSpecs": {"instanceSize": "M20"}}]}],
    "finishedAt": None,
}


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ({}, True),
        ({"stateName": "IDLE"}, True),
        ({"stateName": "IDLE", "paused": True}, True),
        ({"stateName": "IDLE", "paused": False}, False),
        ({"stateName": ["UPDATING", "IDLE"]}, True),
        ({"stateName": ["UPDATING", "REPAIRING"]}, False),
        ({"diskSizeGB": 10}, True),
        ({"paused": 1}, False),
        ({"replicationSpecs.0.regionConfigs.0.electableSpecs.instanceSize": "M20"}, True),
        ({"replicationSpecs.1.zoneName": None}, True),
        ({"stateName.name": "IDLE"}, False),
        ({"finishedAt": {"$exists": True}}, False),
        ({"finishedAt": {"$exists": False}}, True),
        ({"paused": {"$exists": True}}, True),
        ({"missing": None}, True),
        ({"missing": False}, False),
        ({"missing": [None, "x"]}, True),
    ],
)
def test_a_condition_holds_if_each_field_has_its_value(condition, expected):
    assert holds(condition, CLUSTER) is expected


@pytest.mark.parametrize(
    ("condition", "words"),
    [
        ({"stateName": "IDLE", "diskSizeGB": 10}, []),
        ({"stateName": "UPDATING", "paused": True}, ["stateName is 'IDLE', wanted 'UPDATING'"]),
        ({"diskSizeGB": "10"}, ["diskSizeGB is 10.0, wanted '10'"]),
        ({"status": ["READY", "STEADY"]}, ["status is missing, wanted 'READY' or 'STEADY'"]),
        ({"finishedAt": {"$exists": True}}, ["finishedAt is missing, wanted any value"]),
        ({"paused": {"$exists": False}}, ["paused is True, wanted none"]),
        (
            leaves({"tags": [{"key": "a", "value": "1"}]}, whole=True),
            ["tags is missing, wanted [{'key': 'a', 'value': '1'}]"],
        ),
        ({"a.password": "x"}, ["a.password is missing, wanted ***"]),
        ([{"stateName": "UPDATING"}, {"paused": False}], []),
    ],
)
def test_the_fields_that_differ_are_named_with_both_values(condition, words):
    assert unmet(condition, CLUSTER) == words


def test_a_secret_that_differs_is_not_shown():
    assert unmet({"user.password": "x"}, {"user": {"password": "y"}}) == ["user.password is ***, wanted ***"]


@pytest.mark.parametrize("body", [None, [], "text", 7])
def test_a_condition_on_a_body_that_is_no_object_does_not_hold(body):
    assert not holds({"stateName": "IDLE"}, body)


@pytest.mark.parametrize(
    "condition",
    [
        None,
        {},
        "stateName",
        [("a", 1)],
        {1: "a"},
        {"": "a"},
        {"a..b": 1},
        {"a": []},
        {"a": {"b": 1}},
        {"a": {"$exists": "yes"}},
        {"a": object()},
        {"a": [[1]]},
        {"a": {"$exists": True, "b": 1}},
        {"a": lambda body: True},
    ],
)
def test_what_is_not_a_condition_is_refused_with_the_argument_s_name(condition):
    with pytest.raises(ValueError, match=r"^until"):
        check("until", condition)


def test_the_leaves_of_a_body_are_a_condition_that_its_effect_fulfils():
    wish = {"replicationSpecs": CLUSTER["replicationSpecs"], "tags": [{"key": "a", "value": "b"}], "paused": None}
    condition = leaves(wish)
    assert condition == {"replicationSpecs.0.regionConfigs.0.electableSpecs.instanceSize": "M20"}
    check("until", condition)
    assert holds(condition, CLUSTER)


@pytest.mark.parametrize(
    ("tags", "expected"),
    [
        ([{"key": "b", "value": "2"}, {"key": "a", "value": "1"}], True),
        ([{"key": "a", "value": "1"}], False),
        ([], False),
        (None, False),
    ],
)
def test_tags_are_compared_in_any_order(tags, expected):
    wish = leaves({"tags": [{"key": "a", "value": "1"}, {"key": "b", "value": "2"}]}, whole=True)
    assert holds(wish, {"tags": tags}) is expected


def test_download_links_and_secrets_do_not_leave():
    body = {"id": "1", "deliveryUrl": ["https://secret"], "more": [{"secret": "mdb_sa_sk_x", "password": None}]}
    assert public(body) == {"id": "1", "deliveryUrl": "***", "more": [{"secret": "***", "password": None}]}
    assert pick(body, ["id", "deliveryUrl"]) == {"id": "1", "deliveryUrl": "***"}


@pytest.mark.parametrize(
    ("returns", "expected"), [(None, {"a": {"b": 1}}), ("a.b", 1), (["a.b", "c"], {"a.b": 1, "c": None})]
)
def test_what_is_returned(returns, expected):
    assert pick({"a": {"b": 1}}, returns) == expected
