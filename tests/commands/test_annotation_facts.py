"""``gapdata inspect`` says which annotation file a file is, and how much of it can be used."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from gapdata.commands.main import main
from tests.support.annotation_records import write_json
from tests.support.benchmark_records import nr3d_row, situation, sqa3d_release, vsi_row, write_csv, write_parquet


def test_a_file_is_named_with_its_terms_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_parquet(tmp_path / "test.parquet", [vsi_row(), vsi_row(1, ground_truth="far")])
    assert main(["inspect", str(file)]) == 0
    said = capsys.readouterr().out
    assert said.startswith("annotations  VSI-Bench\n")
    assert "terms        Apache 2.0\n" in said
    assert "split test (from its name): 1 of 2 items taken, for 1 scene" in said
    assert "1 item left out: true answer is not a number (item 1: 'far')" in said
    assert main(["inspect", str(write_csv(tmp_path / "nr3d.csv", [nr3d_row()])), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["annotations"], facts["file"]["taken"]) == ("ReferIt3D: Nr3D, Sr3D", 1)


def test_half_of_a_pair_names_the_other_half(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = write_json(tmp_path / "v1_balanced_questions_val.json", sqa3d_release([situation()], [])[0])
    assert main(["inspect", str(file)]) == 0
    assert "name v1_balanced_sqa_annotations_*.json with --annotations, too" in capsys.readouterr().out


def test_anything_else_is_refused_as_before(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name, data in (("a.json", b"[1, 2"), ("room.zip", b"PK\x03\x04"), ("a.sens", b"\4\0\0\0")):
        (tmp_path / name).write_bytes(data)
        assert main(["inspect", str(tmp_path / name)]) != 0
        assert "Traceback" not in capsys.readouterr().err
