"""A walk written as ARKitScenes becomes records of what the walk truly shows, however the tablet was held."""

from __future__ import annotations

import csv
import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gapdata
from gapdata.commands.main import main
from gapdata.geometry.boxes import OrientedBox, euler_from_rotation
from gapdata.geometry.upright import turn_matrix
from gapdata.synthetic.formats.arkitscenes import (
    KINDS,
    LABELS,
    capture_id,
    kind_of,
    with_late_row,
    without_row,
)
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.annotation_records import ALIGNMENT, instance, sample, write_embodiedscan
from tests.support.builds import contents
from tests.support.walks import Tolerances, compare_with_walk

FRAMES = 36
IMAGES = FRAMES // 3
SETTINGS = ("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=6", "clips.step=3", "clips.max_shift=1")
TOLERANCES = {
    False: Tolerances(pose=0.004, turn=0.2, point=0.012),
    True: Tolerances(pose=0.02, turn=1.0, point=0.03),
}
"""By whether it is raw: two thirds of raw's poses are interpolated over 0.1 s, in which the walk goes six frames on."""
OVERLAPS = {"depth": 0.5, "mesh": 0.6}
"""Least mean overlap of masks: a box also holds what lies on a table, or between its legs."""


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("arkit") / "captures"
    words = ["--format", "arkitscenes", "--scenes", "4", "--frames", str(FRAMES), "--color-size", "192x192"]
    assert main(["synth", str(out), *words, "--noise", "0"]) == 0
    return out


def walk_of(index: int) -> Walk:
    return Walk(index, WalkOptions(frames=FRAMES, width=192, noise=0))


def build(root: Path, out: Path, *arguments: str) -> int:
    overrides = [part for setting in SETTINGS for part in ("--set", setting)]
    words = ["build-shards", "--arkitscenes", str(root), "--out", str(out), *overrides, "--executor", "inline"]
    return main([*words, *arguments])


@pytest.fixture(scope="module")
def built(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "out"
    assert build(captures, out) == 0
    return out


@pytest.mark.parametrize("boxes", OVERLAPS)
def test_the_records_show_what_the_walk_saw(boxes: str, captures: Path, built: Path, tmp_path: Path) -> None:
    out = built if boxes == "depth" else tmp_path / "out"
    assert build(captures, out, *([] if boxes == "depth" else ["--set", f"instances.of_boxes={boxes}"])) == 0
    records = list(gapdata.open(out))
    for index in range(len(KINDS)):
        kind = kind_of(index)
        worst = compare_with_walk(
            [record for record in records if record.scene_id == capture_id(index)],
            walk_of(index),
            replace(TOLERANCES[kind.raw], mask=OVERLAPS[boxes]),
            walk_frame=(lambda tick: 2 * tick) if kind.raw else None,
            annotated=not kind.skipped,
            labels=lambda label: LABELS.get(label, ""),
        )
        assert worst.frames >= 6


def test_the_report_counts_what_was_met(built: Path) -> None:
    report = json.loads((built / "report.json").read_text())
    assert report["notes"] == {
        "annotation_skipped": 1,
        "frame_beyond_30_hz": FRAMES // 2,
        "frame_without_confidence": 1,
        "frame_without_pose": 3 + 2,  # one row of each 3dod capture, and raw's frames after the last row
        "pose_interpolated": 3 + 10,
        "frames_turned_by_90": 2 * IMAGES,
        "frames_turned_by_180": FRAMES // 2,
    }
    assert set(report["annotations"]["in_two_splits"]) == {capture_id(1), capture_id(2)}


def test_frames_can_be_kept_as_they_were_held(captures: Path, tmp_path: Path) -> None:
    words = ["--set", "frames.upright=false", "--scenes", capture_id(0)]
    assert build(captures, tmp_path / "out", *words) == 0
    compare_with_walk(
        gapdata.open(tmp_path / "out"),
        walk_of(0),
        replace(TOLERANCES[False], mask=OVERLAPS["depth"]),
        turn=90,
        annotated=True,
        labels=lambda label: LABELS.get(label, ""),
    )


def test_boxes_of_embodiedscan_fit_frames_that_were_turned(captures: Path, tmp_path: Path) -> None:
    """The chairs of a capture held sideways, in EmbodiedScan's aligned world and with its names."""
    walk, capture = walk_of(0), capture_id(0)
    annotated = json.loads((captures / "3dod" / "Training" / capture / f"{capture}_3dod_annotation.json").read_text())
    instances = []
    for place, entry in enumerate(entry for entry in annotated["data"] if entry["label"] == "chair"):
        aligned = entry["segments"]["obbAligned"]
        axes = np.array(aligned["normalizedAxes"]).reshape(3, 3).T
        box = OrientedBox(center=np.array(aligned["centroid"]), size=np.array(aligned["axesLengths"]), rotation=axes)
        moved = box.transformed(ALIGNMENT)
        angles = euler_from_rotation(moved.rotation, "intrinsic_zxy")
        instances.append(instance(place, 2, [*moved.center, *moved.size, *angles]))
    assert instances
    path = write_embodiedscan(
        tmp_path / "embodiedscan_infos_train.pkl",
        [sample(f"Training/{capture}", frames={}, instances=instances, data_set="arkitscenes")],
    )
    words = ["--annotations", str(path), "--set", "objects.source=embodiedscan", "--scenes", capture]
    assert build(captures, tmp_path / "out", *words) == 0
    found = [item for record in gapdata.open(tmp_path / "out") for item in record.objects]
    assert found
    assert {item.label for item in found} == {"chair"}
    compare_with_walk(
        gapdata.open(tmp_path / "out"),
        walk,
        replace(TOLERANCES[False], mask=OVERLAPS["depth"], objects=1),
        annotated=True,
        labels=lambda label: LABELS.get(label, ""),
    )


def test_a_direction_of_poses_that_is_wrong_is_noticed_by_the_comparison(captures: Path, tmp_path: Path) -> None:
    """The comparison itself: a trajectory written as camera to world must not pass."""
    home = Path(shutil.copytree(captures / "3dod" / "Training" / capture_id(3), tmp_path / "in" / capture_id(3)))
    path = home / f"{capture_id(3)}_frames" / "lowres_wide.traj"
    lines = []
    for line in path.read_text().splitlines():
        stamp, *values = line.split()
        numbers = np.array([float(value) for value in values])
        position = -cv2.Rodrigues(numbers[:3])[0].T @ numbers[3:]
        lines.append(" ".join([stamp, *(f"{value:.9g}" for value in [*-numbers[:3], *position])]))
    path.write_text("\n".join(lines) + "\n")
    assert build(tmp_path / "in", tmp_path / "out", "--set", "quality.max_misalignment=9") in (0, 3)
    with pytest.raises(AssertionError, match=r"is off by|only|there are no records"):
        compare_with_walk(gapdata.open(tmp_path / "out"), walk_of(3))


def plain_pose(line: str) -> tuple[float, NDArray[np.float64]]:
    """A row of a trajectory, by Rodrigues' formula: its time and the camera to world."""
    stamp, *values = (float(word) for word in line.split())
    vector, translation = np.array(values[:3]), np.array(values[3:])
    angle = float(np.linalg.norm(vector))
    x, y, z = vector / angle
    cross = np.array([[0, -z, y], [z, 0, -x], [-y, x, 0]])
    rotation = np.eye(3) + np.sin(angle) * cross + (1 - np.cos(angle)) * cross @ cross
    pose = np.eye(4)
    pose[:3, :3], pose[:3, 3] = rotation.T, -rotation.T @ translation
    return stamp, pose


def test_the_files_are_as_the_format_says(captures: Path) -> None:
    """Parsed with a few plain lines: names, stamps, poses, cameras and boxes have their traps."""
    home = captures / "3dod" / "Training" / capture_id(0)
    frames = home / f"{capture_id(0)}_frames"
    names = {kind: sorted(path.name for path in (frames / kind).iterdir()) for kind in ("lowres_wide", "lowres_depth")}
    assert names["lowres_wide"] == names["lowres_depth"]
    seconds = [float(name.split("_")[1].removesuffix(".png")) for name in names["lowres_wide"]]
    assert seconds != sorted(seconds)  # 1000.000 stands before 999.400 as text
    cameras = {path.stem for path in (frames / "lowres_wide_intrinsics").iterdir()}
    late = {f"{capture_id(0)}_{moment + 0.001:.3f}" for moment in seconds} & cameras
    assert len(late) == IMAGES // 4
    fields = {(frames / "lowres_wide_intrinsics" / f"{stem}.pincam").read_text() for stem in cameras}
    assert len(fields) > IMAGES // 2
    rows = [plain_pose(line) for line in (frames / "lowres_wide.traj").read_text().splitlines()]
    assert len(rows) == IMAGES - 1
    walk = walk_of(0)
    held = np.linalg.inv(turn_matrix(90))
    for place, moment in enumerate(sorted(seconds)):
        near = [pose for stamp, pose in rows if abs(stamp - moment) < 0.0005]
        assert bool(near) == (place not in (without_row(IMAGES), with_late_row(IMAGES)))
        assert all(np.allclose(pose, walk.poses[3 * place] @ held, atol=2e-6) for pose in near)
    assert not {f"{stamp:.8f}" for stamp, _ in rows} & {f"{moment:.8f}" for moment in seconds}
    assert cv2.imread(str(frames / "lowres_wide" / names["lowres_wide"][0])).shape == (144, 192, 3)
    boxes = json.loads((home / f"{capture_id(0)}_3dod_annotation.json").read_text())
    assert not boxes["skipped"]
    assert len({entry["objectId"] for entry in boxes["data"]}) < len(boxes["data"])
    for entry in boxes["data"]:
        aligned, other = entry["segments"]["obbAligned"], entry["segments"]["obb"]
        assert np.allclose(np.array(other["axesLengths"]), 100 * np.array(aligned["axesLengths"]))
        rows_of_axes = np.array(aligned["normalizedAxes"]).reshape(3, 3)
        points = walk.scene.mesh.vertices
        inside = np.abs((points - aligned["centroid"]) @ rows_of_axes.T) <= np.array(aligned["axesLengths"]) / 2 + 1e-6
        assert inside.all(axis=1).sum() >= 8


def test_the_lists_have_both_folds_a_visit_in_both_and_a_wrong_direction(captures: Path) -> None:
    with open(captures / "3dod" / "metadata.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["fold"] for row in rows] == ["Training", "Validation", "Training", "Training"]
    assert rows[1]["visit_id"] == rows[2]["visit_id"]
    assert rows[3]["visit_id"] == "NA"
    told = {row["video_id"]: row["sky_direction"] for row in rows}
    truth = {"Left": 90, "Up": 0, "Down": 180}
    wrong = [index for index in range(4) if truth[told[capture_id(index)]] != kind_of(index).turn]
    assert wrong == [1]


def test_the_fused_cloud_is_most_compact_as_it_is_read(captures: Path) -> None:
    """Of the four ways to read a pose, the right one leaves clearly fewer 3-cm cells with points."""
    with gapdata.open_dataset(arkitscenes=captures).open_scan(capture_id(1)) as scan:
        frames = np.flatnonzero(np.isfinite(scan.camera_to_world).all(axis=(1, 2)))
        assert np.linalg.norm(np.ptp(scan.camera_to_world[frames, :3, 3], axis=0)) >= 0.25
        cells: dict[tuple[bool, bool], int] = {}
        for inverted in (False, True):
            for flipped in (False, True):
                clouds = []
                for frame in frames.tolist():
                    camera, depth = scan.depth_camera(frame), scan.depth(frame) / 1000
                    pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
                    points = camera.unproject(pixels, depth)[depth > 0] * ([1, -1, -1] if flipped else [1, 1, 1])
                    pose = scan.camera_to_world[frame]
                    pose = np.linalg.inv(pose) if inverted else pose
                    clouds.append(points @ pose[:3, :3].T + pose[:3, 3])
                cells[inverted, flipped] = len(np.unique((np.concatenate(clouds) // 0.03).astype(int), axis=0))
    assert min(cells, key=lambda each: cells[each]) == (False, False)
    others = [count for each, count in cells.items() if each != (False, False)]
    assert cells[False, False] < 0.7 * min(others)


def test_depth_lies_on_the_mesh(captures: Path) -> None:
    """Most points of a frame are within 3 cm of the mesh, in the one world that poses, mesh and boxes share."""
    import open3d as o3d

    with gapdata.open_dataset(arkitscenes=captures).open_scan(capture_id(2)) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        surface = o3d.t.geometry.RaycastingScene()
        faces = annotation.faces.astype(np.uint32)
        surface.add_triangles(o3d.core.Tensor(annotation.vertices), o3d.core.Tensor(faces))
        for frame in np.flatnonzero(np.isfinite(scan.camera_to_world).all(axis=(1, 2)))[::5].tolist():
            camera, depth = scan.depth_camera(frame), scan.depth(frame) / 1000
            pixels = np.stack(np.meshgrid(np.arange(camera.width), np.arange(camera.height)), axis=-1)
            pose = scan.camera_to_world[frame]
            points = camera.unproject(pixels, depth)[depth > 0] @ pose[:3, :3].T + pose[:3, 3]
            away = surface.compute_distance(o3d.core.Tensor(points.astype(np.float32))).numpy()
            assert np.median(away) < 0.03


def test_equal_options_give_equal_files_and_equal_shards_that_resume(
    captures: Path, built: Path, tmp_path: Path
) -> None:
    words = ["--format", "arkitscenes", "--scenes", "1", "--frames", str(FRAMES), "--color-size", "192x192"]
    assert main(["synth", str(tmp_path / "again"), *words, "--noise", "0"]) == 0
    mine = f"3dod/Training/{capture_id(0)}/"
    first = {name: data for name, data in contents(captures).items() if name.startswith(mine)}
    assert {name: data for name, data in contents(tmp_path / "again").items() if name.startswith(mine)} == first
    assert build(captures, tmp_path / "out") == 0
    tars = {path.name: path.read_bytes() for path in sorted(built.glob("*.tar"))}
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tar")} == tars
    lost = sorted((tmp_path / "out").glob("shard-*"))[-2:]
    for path in lost:
        path.unlink()
    assert build(captures, tmp_path / "out") == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.tar")} == tars
