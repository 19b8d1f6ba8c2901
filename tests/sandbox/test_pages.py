"""Pages: their links, their ends, their bad parameters, and no more work than one page."""

from __future__ import annotations

import pytest

from airflow_provider_atlas.sandbox.pages import page

URL = "http://127.0.0.1:1/api/atlas/v2/groups"


def ask(query, total):
    return page(URL, query, total, lambda index: {"index": index})


def rels(answer):
    return {link["rel"]: link["href"] for link in answer.content["links"]}


@pytest.mark.parametrize(
    ("number", "total", "expected", "links"),
    [
        (1, 5, [0, 1], {"self", "next"}),
        (2, 5, [2, 3], {"self", "previous", "next"}),
        (3, 5, [4], {"self", "previous"}),
        (2, 4, [2, 3], {"self", "previous"}),
        (9, 5, [], {"self", "previous"}),
        (1, 0, [], {"self"}),
    ],
)
def test_a_page_has_its_share_and_knows_its_neighbours(number, total, expected, links):
    answer = ask({"itemsPerPage": "2", "pageNum": str(number)}, total)
    assert [result["index"] for result in answer.content["results"]] == expected
    assert set(rels(answer)) == links
    assert answer.content["totalCount"] == total


def test_links_are_absolute_and_keep_the_query():
    answer = ask({"itemsPerPage": "2", "pageNum": "2", "includeCount": "false"}, 9)
    assert rels(answer) == {
        "self": f"{URL}?itemsPerPage=2&pageNum=2&includeCount=false",
        "previous": f"{URL}?itemsPerPage=2&pageNum=1&includeCount=false",
        "next": f"{URL}?itemsPerPage=2&pageNum=3&includeCount=false",
    }


def test_a_page_has_a_hundred_results_unless_told():
    answer = ask({}, 1000)
    assert len(answer.content["results"]) == 100
    assert rels(answer)["next"] == f"{URL}?itemsPerPage=100&pageNum=2"


def test_the_count_can_be_left_out():
    assert "totalCount" not in ask({"includeCount": "false"}, 9).content


def test_only_the_results_of_the_page_are_made():
    made = []
    page(URL, {"itemsPerPage": "500", "pageNum": "200"}, 100_000, lambda index: made.append(index) or {})
    assert made == list(range(99_500, 100_000))


@pytest.mark.parametrize(
    ("name", "value", "description"),
    [
        ("itemsPerPage", "0", "must be between 1 and 500"),
        ("itemsPerPage", "501", "must be between 1 and 500"),
        ("itemsPerPage", "-1", "must be between 1 and 500"),
        ("itemsPerPage", "", "must be between 1 and 500"),
        ("itemsPerPage", "many", "must be between 1 and 500"),
        ("itemsPerPage", "1.5", "must be between 1 and 500"),
        ("pageNum", "0", "must be greater than or equal to 1"),
        ("pageNum", "9" * 5000, "must be greater than or equal to 1"),
        ("includeCount", "yes", "must be true or false"),
    ],
)
def test_a_bad_parameter_is_named_with_what_is_wrong_about_it(name, value, description):
    answer = ask({name: value}, 9)
    assert (answer.status, answer.content["errorCode"], answer.content["parameters"]) == (
        400,
        "VALIDATION_ERROR",
        [name],
    )
    assert answer.content["badRequestDetail"] == {"fields": [{"field": name, "description": description}]}


def test_all_bad_parameters_are_named_together():
    fields = ask({"itemsPerPage": "x", "pageNum": "x"}, 9).content["badRequestDetail"]["fields"]
    assert [field["field"] for field in fields] == ["itemsPerPage", "pageNum"]
