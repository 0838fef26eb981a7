"""A walk written as TUM's lists becomes records of what the walk truly shows."""

from __future__ import annotations

import itertools
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.synthetic.formats.tum import FREIBURG1_LENS, hole, lost_depth
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.builds import contents
from tests.support.fused_clouds import compactness
from tests.support.walks import compare_with_walk

FRAMES = 24
SETTINGS = ("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=3", "clips.step=2", "clips.max_shift=1")
ROOMS = ("rgbd_dataset_freiburg1_room00", "rgbd_dataset_freiburg3_room01")


@pytest.fixture(scope="module")
def lists(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("tum") / "lists"
    words = ["--format", "tum", "--scenes", "2", "--frames", str(FRAMES), "--color-size", "192x192", "--noise", "0"]
    assert main(["synth", str(out), *words]) == 0
    return out


def build(root: Path, out: Path, *arguments: str) -> int:
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    words = ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline"]
    return main([*words, *arguments])


def test_the_records_show_what_the_walk_saw(lists: Path, tmp_path: Path) -> None:
    assert build(lists, tmp_path / "out") == 0
    records = list(gapdata.open(tmp_path / "out"))
    for index, room in enumerate(ROOMS):
        walk = Walk(index, WalkOptions(frames=FRAMES, width=192, noise=0))
        worst = compare_with_walk([record for record in records if record.scene_id == room], walk)
        assert worst.frames >= 6
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["notes"]["frame_without_depth"] == 2
    assert report["notes"]["depth_paired_by_time"] == 2 * (FRAMES - 1)


def test_a_wrong_camera_is_noticed_by_the_comparison(lists: Path, tmp_path: Path) -> None:
    """The comparison itself: a focal length that is 4 % off must not pass."""
    name = ROOMS[1]
    folder = shutil.copytree(lists / name, tmp_path / "in" / name)
    camera = json.loads((folder / "intrinsics.json").read_text())
    (folder / "intrinsics.json").write_text(json.dumps({**camera, "fx": 1.04 * camera["fx"]}))
    assert build(tmp_path / "in", tmp_path / "out") == 0
    with pytest.raises(AssertionError, match=r"is off by|only"):
        compare_with_walk(gapdata.open(tmp_path / "out"), Walk(1, WalkOptions(frames=FRAMES, width=192, noise=0)))


def test_the_files_are_as_the_format_says(lists: Path) -> None:
    """Parsed with a few plain lines: stamps of colour and depth differ, and poses have a hole of more than 0.1 s."""
    for room in ROOMS:
        rows = {
            name: [line.split() for line in (lists / room / f"{name}.txt").read_text().splitlines() if line[0] in "1"]
            for name in ("rgb", "depth", "groundtruth")
        }
        assert len(rows["rgb"]) == FRAMES
        assert len(rows["depth"]) == FRAMES - 1
        assert not {stamp for stamp, _ in rows["rgb"]} & {stamp for stamp, _ in rows["depth"]}
        moments = [float(row[0]) for row in rows["groundtruth"]]
        steps = [after - before for before, after in itertools.pairwise(moments)]
        assert min(steps) > 0
        assert 0.1 < max(steps) < 0.13
        assert np.median(steps) == pytest.approx(0.01, abs=1e-4)
        stamp, name = rows["depth"][0]
        image = cv2.imread(str(lists / room / name), cv2.IMREAD_UNCHANGED)
        assert (image.dtype, image.shape) == (np.uint16, (144, 192))
        assert 0.3 < np.median(image) / 5000 < 10
        assert name == f"depth/{stamp}.png"


def test_frames_without_depth_and_in_the_hole_have_no_pose_of_their_neighbour(lists: Path) -> None:
    with gapdata.open_dataset(rgbd=lists).open_scan(ROOMS[0]) as scan:
        known = np.isfinite(scan.camera_to_world).all(axis=(1, 2))
        assert not scan.present[lost_depth(FRAMES)]
        assert hole(FRAMES) not in np.flatnonzero(known)
        assert known.sum() >= FRAMES - 5
        assert scan.color_lens is not None
        assert scan.color_lens.coefficients == FREIBURG1_LENS.coefficients


def test_a_build_that_was_stopped_goes_on_and_has_the_same_bytes(lists: Path, tmp_path: Path) -> None:
    whole, stopped = tmp_path / "whole", tmp_path / "stopped"
    apart = ("--set", "shards.scenes_per_shard=1")
    assert build(lists, whole, *apart) == 0
    shutil.copytree(whole, stopped)
    for name in ("shard-000001.tar", "shard-000001.json", "index.parquet", "report.json"):
        (stopped / name).unlink()
    kept = (stopped / "shard-000000.tar").stat().st_mtime_ns
    assert build(lists, stopped, *apart) == 0
    assert (stopped / "shard-000000.tar").stat().st_mtime_ns == kept
    for name in ("shard-000000.tar", "shard-000001.tar", "index.parquet"):
        assert (stopped / name).read_bytes() == (whole / name).read_bytes()


def test_equal_options_give_equal_files_and_equal_shards(lists: Path, tmp_path: Path) -> None:
    words = ["--format", "tum", "--scenes", "1", "--frames", str(FRAMES), "--color-size", "192x108", "--noise", "0"]
    assert main(["synth", str(tmp_path / "again"), *words]) == 0
    first = {name: data for name, data in contents(lists).items() if name.startswith((ROOMS[0], "terms.txt"))}
    assert contents(tmp_path / "again") == first
    for name in ("one", "two"):
        assert build(tmp_path / "again", tmp_path / name) == 0
    tars = [(tmp_path / name / "shard-000000.tar").read_bytes() for name in ("one", "two")]
    assert tars[0] == tars[1]


def test_the_fused_cloud_is_most_compact_as_poses_are_read(lists: Path) -> None:
    with gapdata.open_dataset(rgbd=lists).open_scan(ROOMS[1]) as scan:
        known = scan.present & np.isfinite(scan.camera_to_world).all(axis=(1, 2))
        found = compactness(scan, np.flatnonzero(known)[::4].tolist())
    read = found.pop("camera_to_world opencv")
    assert read < 0.8 * min(found.values())
