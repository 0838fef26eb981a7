"""One walk in the formats of three apps: each build holds what the walk saw, and the boxes of the room."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.geometry.upright import Turn
from gapdata.synthetic.formats.nerfstudio import FIRST
from gapdata.synthetic.formats.phone import PORTRAIT
from tests.support.builds import contents, overrides
from tests.support.phones import Twin, walk, write_twin
from tests.support.walks import Tolerances, compare_with_walk

APPS = ("polycam", "3dscanner", "nerfstudio")
SETTINGS = (
    "frames.image_size=[128,96]",
    "clips.frames=2",
    "clips.interval=4",
    "clips.step=3",
    "clips.max_shift=1",
    "scene_views.frames=6",
    "prompts.spacing=8",
)
FIRST_FRAME = {"nerfstudio": FIRST}
HELD: dict[str, Turn] = {"nerfstudio": PORTRAIT}
"""Nothing says where up is in this format, so that its images stay as they were held."""
LIMITS = Tolerances(depth=0.008, point=0.01, share=0.9, valid=0.8, mask=0.5, objects=6)
"""Depth has half of the images' sides, borders have none, and what stands in a box belongs to it."""


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Twin]:
    return {app: write_twin(app, tmp_path_factory.mktemp("captures") / app) for app in APPS}


def build(root: Path, out: Path, *arguments: str) -> int:
    words = ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides(SETTINGS), "--executor", "inline"]
    return main([*words, *arguments])


@pytest.mark.parametrize("app", APPS)
def test_the_records_show_what_the_walk_saw(app: str, twins: dict[str, Twin], tmp_path: Path) -> None:
    out = tmp_path / "out"
    assert build(twins[app].root, out, "--set", "frames.min_confidence=0") == 0
    first = FIRST_FRAME.get(app, 0)
    worst = compare_with_walk(
        gapdata.open(out), walk(), LIMITS, walk_frame=lambda frame: frame - first, turn=HELD.get(app, 0), annotated=True
    )
    assert worst.frames >= 12
    report = json.loads((out / "report.json").read_text())
    assert ("frames_turned_by_90" in report["notes"]) == (app not in HELD)


@pytest.mark.parametrize("app", APPS)
def test_equal_captures_give_equal_shards_also_after_an_interruption(
    app: str, twins: dict[str, Twin], tmp_path: Path
) -> None:
    again = write_twin(app, tmp_path / "again")
    assert contents(again.root) == contents(twins[app].root)
    (tmp_path / "two").mkdir()
    for name in ("room00", "room01"):
        shutil.copytree(again.capture, tmp_path / "two" / name)
    one, other = tmp_path / "one", tmp_path / "other"
    for out in (one, other):
        assert build(tmp_path / "two", out, "--set", "shards.scenes_per_shard=1") == 0
    tars = {path.name: path.read_bytes() for path in one.glob("*.tar")}
    assert tars == {path.name: path.read_bytes() for path in other.glob("*.tar")}
    for path in (other / "shard-000001.json", other / "shard-000001.tar"):
        path.unlink()
    assert build(tmp_path / "two", other, "--set", "shards.scenes_per_shard=1") == 0
    assert tars == {path.name: path.read_bytes() for path in other.glob("*.tar")}


def test_a_build_after_the_boxes_changed_is_refused(
    twins: dict[str, Twin], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    room = shutil.copytree(twins["3dscanner"].capture, tmp_path / "in" / "room")
    assert build(tmp_path / "in", tmp_path / "out") == 0
    values = json.loads((room / "objects.json").read_text())
    values["objects"][0]["center"][0] += 0.5
    (room / "objects.json").write_text(json.dumps(values))
    capsys.readouterr()
    assert build(tmp_path / "in", tmp_path / "out") == 2
    assert "room" in capsys.readouterr().err


def test_a_wrong_list_quarantines_its_room_and_the_others_are_built(twins: dict[str, Twin], tmp_path: Path) -> None:
    for name in ("one", "two"):
        shutil.copytree(twins["3dscanner"].capture, tmp_path / "in" / name)
    (tmp_path / "in/one/objects.json").write_text('{"world": "aligned", "objects": [{"label": "chair"}]}')
    assert build(tmp_path / "in", tmp_path / "out") == 3
    assert {record.scene_id for record in gapdata.open(tmp_path / "out")} == {"two"}
    (failed,) = (tmp_path / "out" / "failed").glob("*.json")
    assert "objects[0] has no center" in failed.read_text()


def test_black_borders_get_neither_depth_nor_objects(twins: dict[str, Twin], tmp_path: Path) -> None:
    assert build(twins["polycam"].root, tmp_path / "out") == 0
    for record in gapdata.open(tmp_path / "out"):
        for position in range(len(record.frame_ids)):
            color, depth = record.image(position), record.depth(position)
            black = color.max(axis=-1) == 0
            assert not depth[black].any()
            assert not record.instances(position)[black].any()
            assert np.count_nonzero(depth) > depth.size / 2
