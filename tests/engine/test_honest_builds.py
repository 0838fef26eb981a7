"""A build says what it does not hold, and why, before and after; one that holds nothing is no success."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.audit.verify import verify_build
from gapdata.commands.main import main
from tests.support.annotation_records import sentence, write_json
from tests.support.builds import build
from tests.support.lenses import write_room
from tests.support.scannet_scenes import write_scene

SMALL = ("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=1", "clips.max_shift=0")
SCENES = ("scene0000_00", "scene0001_00")


def build_rgbd(root: Path, out: Path, *arguments: str) -> int:
    overrides = [part for setting in SMALL for part in ("--set", setting)]
    words = ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline"]
    return main([*words, *arguments])


def report_of(out: Path) -> dict[str, Any]:
    return json.loads((out / "report.json").read_text())


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two annotated scenes; tests that change them copy them."""
    root = tmp_path_factory.mktemp("data")
    for scene in SCENES:
        write_scene(root / "scans" / scene, frames=6)
    return root


@pytest.fixture
def copy(data: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(data, tmp_path / "scannet"))


@pytest.mark.parametrize(
    ("stated", "factor", "why"),
    [
        (0.001, 1000, "depth_scale is 0.001 units per metre (depth_scale, or --depth-scale), which puts the median"),
        (0.0002, 5000, "it is likely metres per unit; write 5000"),
        (1, 1000, "m: write 1000"),
        (1e6, 1000, "m: write 1000"),
        (1000, 1, "m: write 1"),
        (1000, 0, "its depth images hold no reading"),
    ],
)
def test_a_scan_that_gives_nothing_is_named_with_its_likely_cause(
    stated: float, factor: float, why: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "lab", {"depth_scale": stated}, depth_factor=factor)
    assert build_rgbd(room, tmp_path / "out") == 3
    printed = capsys.readouterr().out
    assert printed.splitlines()[-1] == "  0 records: nothing was built from 1 scene; the lines above say why"
    assert f"  lab gave no record: {why}" in printed or why in printed.splitlines()[-2]
    (suspect,) = report_of(tmp_path / "out")["suspects"]
    assert suspect["scene_id"] == "lab"
    assert why in suspect["suspicion"]
    assert main(["verify", str(tmp_path / "out")]) == 0
    assert "note: the build holds no record" in capsys.readouterr().out
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    assert suspect["suspicion"].partition("(")[0] in (tmp_path / "page.html").read_text()


@pytest.mark.parametrize("units", [1000, 10000])
def test_the_largest_number_is_no_reading_at_any_scale(
    units: float, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "lab", {"depth_scale": units})
    for depth in (room / "depth").iterdir():
        cv2.imwrite(str(depth), np.full_like(cv2.imread(str(depth), cv2.IMREAD_UNCHANGED), 65535))
    assert build_rgbd(room, tmp_path / "out") == 3
    assert "lab gave no record: its depth images hold no reading" in capsys.readouterr().out


def test_a_sens_with_a_scale_in_metres_is_named_too(copy: Path, tmp_path: Path) -> None:
    path = copy / "scans" / SCENES[0] / f"{SCENES[0]}.sens"
    data = bytearray(path.read_bytes())
    place = 12 + len("StructureSensor") + 4 * 64 + 4 * 6
    assert np.frombuffer(data[place : place + 4], np.float32)[0] == 1000
    data[place : place + 4] = np.float32(0.001).tobytes()
    path.write_bytes(data)
    assert build(copy, tmp_path / "out") == 3
    report = report_of(tmp_path / "out")
    assert report["records"] > 0
    ((name, records, why),) = [tuple(suspect.values()) for suspect in report["suspects"]]
    assert (name, records) == (SCENES[0], 0)
    assert "depthShift in its header" in why
    assert why.endswith("it is likely metres per unit; write 1000")


def test_a_scan_that_loses_half_of_its_frames_to_another_scale_is_named_and_kept(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = write_room(tmp_path / "lab", {}, frames=8)
    for frame in range(4, 8):
        path = str(room / "depth" / f"{frame:05d}.png")
        cv2.imwrite(path, cv2.imread(path, cv2.IMREAD_UNCHANGED) // 50)
    assert build_rgbd(room, tmp_path / "out") == 0
    assert "lab lost frames: depth_scale is 1000 units per metre" in capsys.readouterr().out


def test_sparse_depth_is_told_from_a_wrong_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = write_room(tmp_path / "lab", {})
    for path in (room / "depth").iterdir():
        depth = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)
        depth[4:] = 0
        cv2.imwrite(str(path), depth)
    assert build_rgbd(room, tmp_path / "out") == 3
    assert "every frame has depth in less than 5% of its pixels between 0.1 and 15 m" in capsys.readouterr().out


def test_scans_that_cannot_be_read_are_no_success_either(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = write_room(tmp_path / "lab", {})
    shutil.rmtree(room / "pose")
    (room / "pose").mkdir()
    assert build_rgbd(room, tmp_path / "out") == 3
    assert "0 records: nothing was built" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n1,2\n", "it lacks the columns raw_category, id, category, nyu40id, nyu40class"),
        (b"id\traw_category\tcategory\n1\tchair\tchair\n", "it lacks the columns nyu40id, nyu40class"),
        (b"caf\xe9\n", "is not UTF-8"),
        (b"", "it lacks the columns raw_category"),
    ],
)
def test_a_label_map_that_is_refused_is_a_mistake_of_the_request(
    content: bytes, problem: str, copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "scannetv2-labels.combined.tsv").write_bytes(content)
    assert build(copy, tmp_path / "out") == 2
    error = capsys.readouterr().err
    assert problem in error
    assert "scannetv2-labels.combined.tsv" in error
    assert not (tmp_path / "out").exists()


def test_scenes_without_alignment_are_said_before_and_after_with_what_cannot_be_asked(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "scans" / SCENES[0] / f"{SCENES[0]}.txt").unlink()
    text = (copy / "scans" / SCENES[1] / f"{SCENES[1]}.txt").read_bytes()
    (copy / "scans" / SCENES[1] / f"{SCENES[1]}.txt").write_bytes(text.replace(b"axisAlignment", b"axisAlign"))
    sentences = [sentence(scene, str(number)) for scene in SCENES for number in (1, 2)]
    given = write_json(tmp_path / "ScanRefer_filtered_train.json", sentences)
    said = "2 annotated scenes without axisAlignment: 4 descriptions cannot be asked about with aligned boxes"
    assert build(copy, tmp_path / "out", "--annotations", str(given), "--dry-run", "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert (facts["without_alignment"], facts["descriptions_without_alignment"]) == ([*SCENES], 4)
    assert build(copy, tmp_path / "out", "--annotations", str(given), "--dry-run") == 0
    assert said in capsys.readouterr().out
    assert build(copy, tmp_path / "out", "--annotations", str(given)) == 0
    printed = capsys.readouterr()
    assert f"gapdata: note: {said}" in printed.err
    assert f"  {said}" in printed.out
    report = report_of(tmp_path / "out")
    assert (report["scenes_unaligned"], report["descriptions_unaligned"]) == (2, 4)
    verdict = verify_build(tmp_path / "out")
    assert not verdict.defects
    assert verdict.notes[0].startswith(said)
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    assert said in (tmp_path / "page.html").read_text()


def test_aligned_scenes_and_scenes_without_annotation_say_nothing_of_alignment(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "scans" / SCENES[0] / f"{SCENES[0]}.aggregation.json").unlink()
    (copy / "scans" / SCENES[0] / f"{SCENES[0]}.txt").unlink()
    assert build(copy, tmp_path / "out") == 0
    printed = capsys.readouterr()
    assert "axisAlignment" not in printed.err + printed.out
    assert verify_build(tmp_path / "out").notes == ()


def test_a_scene_that_is_named_and_would_be_left_out_is_refused(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = write_json(tmp_path / "ScanRefer_filtered_train.json", [sentence(SCENES[0], "1")])
    both = ("--scenes", ",".join(SCENES))
    by_files = ("--annotations", str(given), "--set", "annotations.splits=true")
    assert build(copy, tmp_path / "out", *both, *by_files) == 2
    assert f"--scenes names {SCENES[1]}, but no annotation file mentions it" in capsys.readouterr().err
    (copy / "scannetv2_train.txt").write_text(SCENES[0])
    (copy / "scannetv2_val.txt").write_text(SCENES[1])
    assert build(copy, tmp_path / "out", *both, "--split", "train") == 2
    assert f"not of --split train: {SCENES[1]} (val)" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
    assert build(copy, tmp_path / "out", "--scenes", SCENES[0], "--dry-run", *by_files) == 0


def test_a_scene_in_two_split_files_is_held_out_and_said(
    copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "scannetv2_train.txt").write_text("\n".join(SCENES))
    (copy / "scannetv2_val.txt").write_text(f"{SCENES[1]}\nscene0009_00\n")
    assert build(copy, tmp_path / "out") == 0
    assert f"warning: 1 scene in more than one split file in or above {copy}: {SCENES[1]} (train, val)" in (
        capsys.readouterr().err
    )
    report = report_of(tmp_path / "out")
    assert report["annotations"]["in_two_splits"] == {SCENES[1]: ["train", "val"]}
    assert set(report["records_by_split"]) == {"train", "val"}
    assert main(["report", str(tmp_path / "out"), "--out", str(tmp_path / "page.html")]) == 0
    assert f"{SCENES[1]} (train × val)" not in (tmp_path / "page.html").read_text()
    assert SCENES[1] in (tmp_path / "page.html").read_text().partition("In more than one split file")[2][:200]
