"""Walks written as Stray Scanner's and Record3D's captures become records of what the walks truly saw."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.synthetic.formats.registry import FORMATS as WRITERS
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.builds import contents, overrides
from tests.support.fused_clouds import compactness, depth_off_mesh
from tests.support.phones import open_capture, present
from tests.support.walks import Agreement, Tolerances, compare_with_walk

pytestmark = pytest.mark.slow
FORMATS = ("stray", "record3d")
FRAMES, WIDTH = 24, 192
SETTINGS = ("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=3", "clips.step=2", "clips.max_shift=1")
CONFIDENT = Tolerances(depth=0.004, point=0.01, valid=0.5, share=0.94, box=0.002, mask=0.5)
"""Depth has half of colour's resolution, and edges are smeared, of which low confidence is left out. A mask is what
lies in a box, also if it belongs to the floor."""


@pytest.fixture(scope="module", params=FORMATS)
def walks(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("walks") / str(request.param)
    words = ["--scenes", "2", "--frames", str(FRAMES), "--color-size", f"{WIDTH}x{WIDTH}", "--noise", "0"]
    assert main(["synth", str(out), "--format", str(request.param), *words]) == 0
    return out


def build(root: Path, out: Path, *arguments: str) -> int:
    words = ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides(SETTINGS)]
    return main([*words, "--executor", "inline", *arguments])


def compare(records: list[Record], tolerances: Tolerances) -> list[Agreement]:
    found = []
    for index, scene in enumerate(sorted({record.scene_id for record in records})):
        walk = Walk(index, WalkOptions(frames=FRAMES, width=WIDTH, noise=0))
        own = [item for item in records if item.scene_id == scene]
        found.append(compare_with_walk(own, walk, tolerances, annotated=True))
    return found


def test_the_records_show_what_the_walk_saw(walks: Path, tmp_path: Path) -> None:
    assert build(walks, tmp_path / "out", "--set", "frames.min_confidence=1") == 0
    records = list(gapdata.open(tmp_path / "out"))
    assert {record.turned for record in records} == {90}
    assert {record.image_size for record in records} == {(96, 128)}
    assert {record.masks for record in records} == {"boxes"}
    found = compare(records, CONFIDENT)
    assert len(found) == 2
    assert min(item.frames for item in found) >= 6
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["notes"]["frame_without_depth"] == 2


def test_readings_of_low_confidence_are_what_is_wrong_at_edges(walks: Path, tmp_path: Path) -> None:
    shares = {}
    for level in (0, 1, 2):
        out = tmp_path / str(level)
        assert build(walks, out, "--set", f"frames.min_confidence={level}") == 0
        loose = Tolerances(depth=0.02, point=0.03, valid=0.3, share=0.5, mask=0.3)
        shares[level] = [(item.share, item.valid) for item in compare(list(gapdata.open(out)), loose)]
    for one, two, three in zip(shares[0], shares[1], shares[2], strict=True):
        assert one[0] + 0.02 < two[0] <= three[0] + 1e-9
        assert one[1] > two[1] > three[1]


@pytest.mark.parametrize("name", FORMATS)
def test_the_fused_cloud_is_compact_and_lies_on_the_mesh(name: str, tmp_path: Path) -> None:
    """Of the four ways to read poses, on a way of more than half a metre."""
    walk = Walk(0, WalkOptions(frames=75, width=96, noise=0))
    WRITERS[name].load().write(tmp_path, [walk])
    scan = open_capture(tmp_path)
    frames = present(scan)[::2]
    voxels = compactness(scan, frames)
    best = voxels.pop("camera_to_world opencv")
    assert 1.3 * best < min(voxels.values())
    assert scan.axis_alignment is not None
    to_world = np.linalg.inv(scan.axis_alignment)[:3, :3]
    mesh = walk.scene.mesh
    assert max(depth_off_mesh(scan, frames[::9], mesh.vertices @ to_world.T, mesh.faces)) < 0.005


def test_frames_can_stay_as_they_were_held(walks: Path, tmp_path: Path) -> None:
    assert build(walks, tmp_path / "out", "--set", "frames.upright=false") == 0
    records = list(gapdata.open(tmp_path / "out"))
    assert {record.turned for record in records} == {0}
    assert {record.image_size for record in records} == {(128, 96)}
    for index, scene in enumerate(sorted({record.scene_id for record in records})):
        walk = Walk(index, WalkOptions(frames=FRAMES, width=WIDTH, noise=0))
        own = [item for item in records if item.scene_id == scene]
        compare_with_walk(own, walk, CONFIDENT, turn=90, annotated=True)


def test_a_build_is_the_same_twice_and_goes_on_where_it_stopped(walks: Path, tmp_path: Path) -> None:
    settings = ["--set", "shards.scenes_per_shard=1"]
    assert build(walks, tmp_path / "one", *settings) == 0
    assert build(walks, tmp_path / "two", *settings) == 0
    tars = {name: data for name, data in contents(tmp_path / "one").items() if name.endswith(".tar")}
    assert len(tars) == 2
    assert tars.items() <= contents(tmp_path / "two").items()
    for path in (tmp_path / "two").glob("shard-000001*"):
        path.unlink()
    assert build(walks, tmp_path / "two", *settings) == 0
    assert tars.items() <= contents(tmp_path / "two").items()
