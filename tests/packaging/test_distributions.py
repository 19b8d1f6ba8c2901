"""The files to publish: what they contain, and whether PyPI would accept them."""

from __future__ import annotations

import ast
import email
import re
import sys
import tarfile
import zipfile

import pytest

from tests.packaging.conftest import ROOT, UV, run


def test_the_wheel_contains_only_the_package(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"airflow_provider_atlas"}
    assert "airflow_provider_atlas/py.typed" in names
    assert any(name.endswith("licenses/LICENSE") for name in names)


PARTS = ["airflow_provider_atlas", "benchmarks", "demo", "docs", "example_dags", "harness", "tests"]
PAGES = ["CHANGELOG.md", "CONTRIBUTING.md", "README.md", "RELEASING.md", "SECURITY.md"]


@pytest.mark.parametrize("part", [*PARTS, *PAGES, "Makefile"])
def test_the_source_distribution_contains_what_its_tests_need(distributions, part):
    (sdist,) = distributions.glob("*.tar.gz")
    with tarfile.open(sdist) as archive:
        assert part in {name.split("/")[1] for name in archive.getnames()}


def test_the_description_for_a_package_index_has_no_relative_link_or_image(wheel):
    """The index shows only the README, so a relative link would not work."""
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    description = email.message_from_bytes(archive.read(name)).get_payload()
    assert description.startswith("# airflow-provider-atlas")
    assert re.findall(r"\]\((?!https?:)[^)]*\)", description) == []
    assert "connection and a first DAG in ten minutes: the tutorial." in description


def test_sdist_and_wheel_pass_twine_check(distributions):
    output = run(sys.executable, "-m", "twine", "--no-color", "check", "--strict", *distributions.glob("airflow_*"))
    assert output.count("PASSED") == 2


def test_two_builds_are_the_same_bytes(distributions, tmp_path):
    run(UV, "build", "--no-sources", "--quiet", "--python", sys.executable, "--out-dir", tmp_path, ROOT)
    built = {file.name: file.read_bytes() for file in distributions.glob("airflow_*")}
    assert len(built) == 2
    assert {file.name: file.read_bytes() for file in tmp_path.glob("airflow_*")} == built


def test_the_pythons_of_the_matrix_that_were_tried_are_the_classifiers(wheel):
    """3.14 has been in no environment yet."""
    assignments = [node for node in ast.parse((ROOT / "noxfile.py").read_text()).body if isinstance(node, ast.Assign)]
    (matrix,) = [node.value for node in assignments if getattr(node.targets[0], "id", "") == "PYTHONS"]
    pythons = {python for each in ast.literal_eval(matrix).values() for python in each}
    archive = zipfile.ZipFile(wheel)
    (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
    classifiers = email.message_from_bytes(archive.read(name)).get_all("Classifier")
    assert {each.rpartition(" ")[2] for each in classifiers if "Python :: 3." in each} == pythons - {"3.14"}
