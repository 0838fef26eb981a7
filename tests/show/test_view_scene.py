"""A whole scene in the viewer: its views become one room, in a world that is named, within bounds."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import transform
from gapdata.geometry.overlap import pairwise_iou
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.exhibit import Exhibit
from gapdata.show.scene.scene import VOXEL, scene_exhibit, scene_positions
from tests.support.builds import write_build
from tests.support.showing import FURNITURE, ROOM, part_of, room_record

SCENE = "room0000_00"
FRAMES = 6


@pytest.fixture(scope="module")
def whole() -> Record:
    return room_record(FRAMES, (160, 120), aligned=True, orbit=2.0)


@pytest.fixture(scope="module")
def build(whole: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two views of one scene that share two frames, and a view of another."""
    parts = [part_of(whole, (0, 1, 2, 3), f"{SCENE}-clip-00000"), part_of(whole, (2, 3, 4, 5), f"{SCENE}-clip-00060")]
    other = dataclasses.replace(
        room_record(2, (96, 72)), key="room0002_00-clip-00000", scene_id="room0002_00", axis_alignment=None
    )
    return write_build(tmp_path_factory.mktemp("scene") / "build", [*parts, other])


def shown(build: Path, scene: str = SCENE, **options: Any) -> Exhibit:
    reader = ShardReader(build)
    return scene_exhibit(reader, scene_positions(build, scene), **options)


def test_the_views_of_a_scene_meet_on_the_surfaces_of_the_room(build: Path) -> None:
    cloud = shown(build).cloud
    points = cloud.points.astype(np.float64)
    walls = points[cloud.instances == 0]
    # The fixture's aligned world is the room's own. A voxel at an edge averages what two surfaces have in it.
    assert np.percentile(np.minimum(np.abs(walls - ROOM[0]), np.abs(walls - ROOM[1])).min(axis=1), 99) < 0.01
    for index, (_, center, size, _) in enumerate(FURNITURE):
        local = np.abs(points[cloud.instances == index + 1] - np.array(center)) / (np.array(size) / 2)
        assert np.abs(local.max(axis=1) - 1.0).max() < 0.1


def test_every_frame_is_fused_once_and_none_is_lost(build: Path, whole: Record) -> None:
    exhibit = shown(build)
    assert exhibit.frame_ids == whole.frame_ids
    assert set(np.unique(exhibit.cloud.frames).tolist()) == set(whole.frame_ids)
    assert [item.caption for item in exhibit.cameras] == [f"frame {index}" for index in whole.frame_ids]
    every = np.concatenate([transform(camera.to_shown, np.zeros((1, 3))) for camera in exhibit.cameras])
    assert whole.axis_alignment is not None
    assert np.allclose(every, (whole.axis_alignment @ whole.camera_to_world)[:, :3, 3])
    reached = sum(int((whole.depth(frame) > 0).sum()) for frame in range(FRAMES))
    assert len(exhibit.cloud) < reached
    cells = np.floor(exhibit.cloud.points / VOXEL).astype(int)
    assert len(np.unique(cells, axis=0)) > 0.98 * len(cells)


def test_an_object_of_several_views_has_one_box_around_its_points(build: Path, whole: Record) -> None:
    exhibit = shown(build)
    assert [item.object_id for item in exhibit.boxes] == [item.object_id for item in whole.objects]
    true = [
        OrientedBox(center=np.array(center), size=np.array(size), rotation=np.eye(3))
        for _, center, size, _ in FURNITURE
    ]
    assert np.diag(pairwise_iou([item.box for item in exhibit.boxes], true)).min() > 0.999


def test_the_limit_of_points_makes_the_voxels_grow(build: Path) -> None:
    full, limited = shown(build), shown(build, max_points=4_000)
    assert len(limited.cloud) <= 4_000 < len(full.cloud)
    assert any("one per 1 cm" in fact for fact in full.facts)
    sizes = [fact for fact in limited.facts if "one per" in fact]
    assert sizes
    assert "one per 1 cm" not in sizes[0]
    gaps = np.array([np.linalg.norm(limited.cloud.points - point, axis=1).min() for point in full.cloud.points[::500]])
    assert np.percentile(gaps, 99) < 0.3


def test_the_world_is_named_and_without_alignment_it_is_the_scan_s_own(build: Path) -> None:
    assert shown(build).reference == "metres, axis-aligned world (z up)"
    exhibit = shown(build, "room0002_00")
    assert exhibit.reference == "metres, the scan's own world (not axis-aligned)"
    assert exhibit.notes == ("no axis alignment: the room's axes are not drawn",)
    record = ShardReader(build)["room0002_00-clip-00000"]
    assert np.allclose(exhibit.cameras[0].to_shown, record.camera_to_world[0])


def test_the_order_of_views_does_not_change_the_room(build: Path) -> None:
    reader = ShardReader(build)
    one, other = (scene_exhibit(reader, order).cloud.points for order in ([0, 1], [1, 0]))
    assert abs(len(one) - len(other)) < 0.01 * len(one)
    gaps = np.array([np.linalg.norm(other - point, axis=1).min() for point in one[::500]])
    assert gaps.max() < VOXEL


@pytest.mark.slow
@pytest.mark.parametrize("name", ["x.png", "x.ply", "x.glb"])
def test_a_scene_is_saved_from_the_command_line(
    build: Path, tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / name
    assert main(["view", str(build), "--scene", SCENE, "--color", "frame", "--save", str(target)]) == 0
    assert capsys.readouterr().out.startswith(f"{target}: {SCENE}, ")
    assert target.stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--key", "k", "--scene", "s"],
            "--key and --scene exclude each other; --key shows one view, --scene fuses all",
        ),
        (["--scene", "room0000_0"], "has no scene 'room0000_0'; it has 2 scenes, among them room0000_00"),
        (["--key", SCENE], f"that is a scene: show all of it with --scene {SCENE}"),
        (["--key", f"{SCENE}-clip-00061"], f"did you mean {SCENE}-clip-00060"),
        (
            ["--key", "room0003_00-clip-00000"],
            "has no record 'room0003_00-clip-00000'; did you mean room0002_00-clip-0",
        ),
        (["--key", "nonsense"], f"has no record 'nonsense'; keys look like {SCENE}-clip-00000"),
        (["--save", "x.obj"], "x.obj: cannot save a view as .obj; name a .png, .ply, .glb or .rrd file"),
        (["--save", "nowhere/x.png"], "nowhere/x.png: its folder does not exist; create it first"),
    ],
)
def test_a_mistake_is_named_with_what_to_do(
    build: Path, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(build)
    save = [] if "--save" in arguments else ["--save", "x.png"]
    assert main(["view", str(build), *arguments, *save]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1
    assert not (build / "x.png").exists()


def test_a_folder_where_the_file_should_be_is_named(build: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (build / "folder.ply").mkdir()
    assert main(["view", str(build), "--key", "room0002_00-clip-00000", "--save", str(build / "folder.ply")]) == 2
    assert "folder.ply: cannot be written: Is a directory" in capsys.readouterr().err
