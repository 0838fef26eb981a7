"""``gapdata synth --format``: every format is one file, takes the common options and refuses the others by name."""

from __future__ import annotations

from pathlib import Path

import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.sources.registry import SOURCES
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.builds import build, contents
from tests.support.walks import Tolerances, compare_with_walk

SMALL = ("--format", "tum", "--scenes", "1", "--frames", "3", "--color-size", "32x24")


def test_every_format_has_a_file_that_writes_it_and_an_option_that_reads_it() -> None:
    for name, row in FORMATS.items():
        assert callable(row.load().write), name
        assert row.option in SOURCES


@pytest.mark.parametrize(
    "option",
    [["--test-scenes", "0"], ["--rooms", "office"], ["--depth-size", "64x48"], ["--shared-camera"], ["--annotations"]],
)
def test_an_option_that_a_format_does_not_use_is_refused_by_name(
    option: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["synth", str(tmp_path / "out"), *SMALL, *option]) == 2
    said = capsys.readouterr().err
    assert f"{option[0]} can be given with --format scannet only" in said
    assert not (tmp_path / "out").exists()


def test_what_is_there_is_replaced_only_when_asked_and_other_files_stay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    assert main(["synth", str(out), *SMALL]) == 0
    assert f"next: gapdata build-shards --rgbd {out}" in capsys.readouterr().out
    first = contents(out)
    (room,) = (entry for entry in out.iterdir() if entry.is_dir())
    (room / "rgb" / "old.png").write_bytes(b"old")
    (out / "notes.txt").write_text("mine")
    assert main(["synth", str(out), *SMALL]) == 2
    assert "is not empty" in capsys.readouterr().err
    assert main(["synth", str(out), *SMALL, "--overwrite"]) == 0
    assert contents(out) == {**first, "notes.txt": b"mine"}


def test_the_comparison_with_a_walk_knows_boxes_and_masks(tmp_path: Path) -> None:
    """Checked on ScanNet's own format, whose walks are the same and whose reader is known to be right."""
    sizes = ["--color-size", "162x121", "--depth-size", "162x121", "--shared-camera"]
    words = ["--scenes", "1", "--frames", "12", "--noise", "0", *sizes]
    assert main(["synth", str(tmp_path / "scans"), *words]) == 0
    assert build(tmp_path / "scans", tmp_path / "out") == 0
    records = list(gapdata.open(tmp_path / "out"))
    walk = Walk(0, WalkOptions(frames=12, noise=0))
    worst = compare_with_walk(records, walk, annotated=True)
    assert len(worst.overlaps) > 10
    for wrong in (Tolerances(box=1e-9), Tolerances(mask=0.9999), Tolerances(depth=1e-9), Tolerances(pose=-1.0)):
        with pytest.raises(AssertionError, match=r"is off by|only"):
            compare_with_walk(records, walk, wrong, annotated=True)
    with pytest.raises(AssertionError, match=r"is off by"):
        compare_with_walk(records, walk, walk_frame=lambda frame: 11 - frame, annotated=True)
    with pytest.raises(AssertionError, match="has no annotation"):
        compare_with_walk(records, walk)
