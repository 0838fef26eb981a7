"""``gapdata sources`` says what is read, how to get it, and what a folder is."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from gapdata.commands.main import main
from gapdata.sources.captures import CAPTURES
from gapdata.sources.known_layouts import LAYOUTS
from gapdata.sources.registry import SOURCES
from gapdata.sources.source_facts import OWN_TERMS, SourceFacts


def test_it_lists_every_source_and_capture(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["sources"]) == 0
    text = capsys.readouterr().out
    assert main(["sources", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts.keys() == SOURCES.keys()
    assert facts["rgbd"]["captures"].keys() == CAPTURES.keys() | LAYOUTS.keys()
    for row in (*SOURCES.values(), *CAPTURES.values(), *LAYOUTS.values()):
        assert row.title in text
        assert row.recognised_by in text
        assert row.download in text
        assert row.terms in text


@pytest.mark.parametrize("row", [*SOURCES.items(), *CAPTURES.items(), *LAYOUTS.items()], ids=lambda item: item[0])
def test_every_row_says_what_it_is_recognised_by_and_its_terms(row: tuple[str, SourceFacts]) -> None:
    facts = row[1]
    assert facts.recognised_by
    assert facts.title
    assert facts.terms
    assert "https://" in facts.terms or facts.terms == OWN_TERMS
    assert "\n" not in facts.recognised_by + facts.download + facts.terms + facts.categories + facts.splits


def test_it_says_what_a_folder_is_and_what_it_lacks(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    copy = tmp_path / "scannet"
    shutil.copytree(small_dataset, copy)
    (copy / "scans" / "scene0700_00").mkdir()
    assert main(["sources", str(copy)]) == 0
    said = capsys.readouterr().out
    assert said.startswith(f"{copy}: ScanNet, ")
    assert "read it with   --scannet" in said
    assert "without frames scene0700_00" in said
    assert SOURCES["scannet"].download in said


def test_a_folder_that_is_none_says_what_was_looked_for_and_what_lies_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holiday.jpg").touch()
    for command in ("sources", "inspect"):
        assert main([command, str(tmp_path)]) == 2
        said = capsys.readouterr().err
        assert "holds no RGB-D frames, nor does it look like ScanNet" in said
        assert "it holds holiday.jpg" in said
        assert "`gapdata sources` lists what is recognised" in said


def test_the_wrong_option_names_the_right_one(
    small_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["build-shards", "--rgbd", str(small_dataset), "--out", str(tmp_path / "out")]) == 2
    assert "this looks like ScanNet: use --scannet" in capsys.readouterr().err


def test_a_missing_download_names_the_command_that_gets_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["build-shards", "--scannet", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert f"to download it: {SOURCES['scannet'].download}" in capsys.readouterr().err
