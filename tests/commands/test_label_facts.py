"""``gapdata inspect DIR --labels`` counts objects by label and lists the labels that no taxonomy has."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapdata.commands.main import main


def test_labels_without_a_name_are_listed_and_counted(small_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(small_dataset), "--labels", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["objects"] == sum(facts["labels"].values()) > 0
    assert list(facts["labels"].values()) == sorted(facts["labels"].values(), reverse=True)
    for without in facts["without_a_name"].values():
        assert without.items() <= facts["labels"].items()
    assert main(["inspect", str(small_dataset), "--labels"]) == 0
    said = capsys.readouterr().out
    assert f"{facts['objects']} objects with {len(facts['labels'])} labels in " in said
    assert "without a name in embodiedscan: " in said


def test_a_single_scan_is_refused(small_dataset: Path, capsys: pytest.CaptureFixture[str]) -> None:
    scene = next((small_dataset / "scans").iterdir())
    assert main(["inspect", str(scene), "--labels"]) == 2
    assert "is one scan, and labels are counted of a data set" in capsys.readouterr().err
    assert main(["inspect", str(small_dataset), "--labels", "--poses"]) == 2
    assert "--labels does not go with --poses and --key" in capsys.readouterr().err
