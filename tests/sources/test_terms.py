"""A build, its page and its exports say under which terms its scans may be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.sources.captures import CAPTURES
from gapdata.sources.registry import SOURCES
from gapdata.sources.source_facts import SourceFacts
from gapdata.sources.terms import facts_of, own_terms, terms_lines, terms_table
from tests.support.builds import build

SCANNET = SOURCES["scannet"].terms


def test_terms_are_those_of_the_data_set_or_of_the_capture() -> None:
    assert facts_of("scannet", "sens") is SOURCES["scannet"]
    assert all(facts_of("rgbd", name) is row for name, row in CAPTURES.items())
    assert facts_of("rgbd", "color-depth-pose") is SOURCES["rgbd"]
    rows = terms_table([("scannet", "sens"), ("scannet", "posed_images"), ("rgbd", "color-depth-pose")])
    assert [(row["title"], row["scenes"]) for row in rows] == [("ScanNet", 2), ("folders of RGB-D frames", 1)]


def test_the_user_may_state_other_terms(tmp_path: Path) -> None:
    assert own_terms(tmp_path / "rooms") is None
    (tmp_path / "terms.txt").write_text("CC BY 4.0, https://example.org\nRedistributable\n")
    own = own_terms(tmp_path / "rooms")
    assert own == SourceFacts(
        title="these scans, as terms.txt says", terms="CC BY 4.0, https://example.org", redistributable=True
    )
    assert terms_table([("scannet", "sens")], own)[0]["redistributable"]
    (tmp_path / "terms.txt").write_text("only here\n")
    assert own_terms(tmp_path) == SourceFacts(title="these scans, as terms.txt says", terms="only here")
    (tmp_path / "terms.txt").write_text(" \n")
    with pytest.raises(UsageError, match=r"terms\.txt: is empty; write the terms of use into its first line"):
        own_terms(tmp_path)


@pytest.mark.parametrize("foreign", [None, "free", [1, {"title": "only"}], {"title": "a", "terms": "b"}])
def test_the_report_of_somebody_else_may_hold_anything(foreign: object) -> None:
    assert terms_lines(foreign) == []


def test_a_build_and_its_export_name_the_terms(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert build(small_dataset, out) == 0
    assert f"terms of ScanNet: {SCANNET}" in capsys.readouterr().out
    report = json.loads((out / "report.json").read_text())
    assert [(row["title"], row["terms"], row["redistributable"]) for row in report["terms"]] == [
        ("ScanNet", SCANNET, False)
    ]
    assert main(["export", str(out), "--format", "posed-images", "--out", str(tmp_path / "exported")]) == 0
    assert capsys.readouterr().err.count("terms of ") == 1
    assert json.loads((tmp_path / "exported" / "report.json").read_text())["terms"] == report["terms"]
