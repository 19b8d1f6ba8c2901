"""The files that would be published: what is in them, and what PyPI would say to them."""

from __future__ import annotations

import sys
import tarfile
import zipfile

import pytest

from tests.packaging.conftest import run


def test_the_wheel_holds_the_package_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"airflow_provider_atlas"}
    assert "airflow_provider_atlas/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


PARTS = ["airflow_provider_atlas", "benchmarks", "demo", "docs", "example_dags", "harness", "tests"]
PAGES = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "SECURITY.md"]


@pytest.mark.parametrize("part", [*PARTS, *PAGES, "Makefile"])
def test_the_source_distribution_holds_what_its_tests_need(distributions, part):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert part in {name.split("/")[1] for name in archive.getnames()}


def test_both_satisfy_twine(distributions):
    said = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *distributions.glob("airflow_*"))
    assert said.count("PASSED") == 2
