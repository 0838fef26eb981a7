"""Scenes for nerfstudio and COLMAP: points reproject through the files, by these programs' own conventions.

The readers here are written from the formats' descriptions and share no code with what writes them.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.errors import ShardError
from gapdata.export.export_build import export_build
from gapdata.geometry.quaternions import quaternion_of
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from tests.support.builds import write_build
from tests.support.export_builds import SIZE, TRAIN, VAL, tree
from tests.support.showing import part_of, room_record

PIXELS = 0.01
"""How far a point may reproject from its pixel: poses of scans are rotations to four digits only."""


@dataclass(frozen=True, kw_only=True)
class Seen:
    """How a foreign program sees a frame."""

    image: Path
    to_pixel: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """World points (P, 3) to positions (P, 2) in the image, with (0, 0) at its upper left corner."""


def nerfstudio_frames(folder: Path) -> dict[str, Seen]:
    """Frames of ``transforms.json``: camera to world, x right, y up, z backward; the corner of the image is (0, 0)."""
    listed = json.loads((folder / "transforms.json").read_text())
    found = {}
    for frame in listed["frames"]:
        camera = {**listed, **frame}
        assert [camera[name] for name in ("k1", "k2", "p1", "p2")] == [0, 0, 0, 0]
        found[Path(frame["file_path"]).name] = Seen(
            image=folder / frame["file_path"], to_pixel=_opengl(np.array(camera["transform_matrix"]), camera)
        )
    return found


def _opengl(pose: NDArray[np.float64], camera: dict[str, Any]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    def to_pixel(points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y, z = ((points - pose[:3, 3]) @ pose[:3, :3]).T
        return np.stack([camera["cx"] + camera["fl_x"] * x / -z, camera["cy"] - camera["fl_y"] * y / -z], axis=1)

    return to_pixel


def colmap_frames(folder: Path) -> dict[str, Seen]:
    """Images of a COLMAP text model: world to camera, x right, y down, z forward; two lines for each image."""
    model = folder / "sparse" / "0"
    cameras = {}
    for text in (model / "cameras.txt").read_text().splitlines():
        if not text.startswith("#"):
            number, kind, width, height, *values = text.split()
            assert (kind, int(width), int(height)) == ("PINHOLE", *SIZE)
            cameras[number] = list(map(float, values))
    lines = [text for text in (model / "images.txt").read_text().split("\n") if not text.startswith("#")]
    found = {}
    for text, observed in zip(lines[0:-1:2], lines[1:-1:2], strict=True):
        assert observed == ""
        _, *values, camera, name = text.split()
        found[name] = Seen(
            image=folder / "images" / name,
            to_pixel=_opencv(np.array(values, dtype=np.float64), cameras[camera]),
        )
    return found


def _opencv(values: NDArray[np.float64], camera: list[float]) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    fx, fy, cx, cy = camera
    w, axis, position = values[0], values[1:4], values[4:]

    def to_pixel(points: NDArray[np.float64]) -> NDArray[np.float64]:
        # Hamilton's rotation by a quaternion: p + 2 w (a x p) + 2 a x (a x p).
        once = np.cross(axis, points)
        local = points + 2 * w * once + 2 * np.cross(axis, once) + position
        return np.stack([fx * local[:, 0] / local[:, 2] + cx, fy * local[:, 1] / local[:, 2] + cy], axis=1)

    return to_pixel


READERS = {"transforms": nerfstudio_frames, "colmap": colmap_frames}


@pytest.fixture(scope="module")
def scenes(shards: Path) -> Path:
    """The folder of the build's export in each form."""
    root = shards.parent / "scenes"
    for form in READERS:
        assert main(["export", str(shards), "--format", form, "--out", str(root / form)]) == 0
    return root


def reprojection(record: Record, frames: dict[str, Seen], world: NDArray[np.float64]) -> float:
    """How far in pixels the points of a record's depth lie from their own pixels, by a foreign program, at most.

    Args:
        record: with its members.
        frames: of its scene.
        world: (4, 4), the record's world to that of the files.
    """
    points, worst = record.pointmap(), 0.0
    for frame, frame_id in enumerate(record.frame_ids):
        rows, columns = np.nonzero(np.isfinite(points[frame]).all(axis=-1))
        first_to_world = world @ record.camera_to_world[0]
        found = points[frame][rows, columns].astype(np.float64) @ first_to_world[:3, :3].T + first_to_world[:3, 3]
        seen = frames[f"{frame_id:05d}.jpg"]
        assert seen.image.read_bytes() == record.members[f"{frame:02d}.jpg"]
        # The centre of the first pixel is half a pixel from the corner.
        off = seen.to_pixel(found) - (np.stack([columns, rows], axis=1) + 0.5)
        worst = max(worst, float(np.abs(off).max()))
    return worst


@pytest.mark.parametrize("form", list(READERS))
def test_points_of_every_frame_reproject_to_their_own_pixels(shards: Path, scenes: Path, form: str) -> None:
    for record in ShardReader(shards):
        assert record.axis_alignment is not None
        frames = READERS[form](scenes / form / record.scene_id)
        assert reprojection(record, frames, record.axis_alignment) < PIXELS


@pytest.mark.parametrize("form", list(READERS))
def test_every_frame_of_a_scene_is_there_once(shards: Path, scenes: Path, form: str) -> None:
    for scene in (TRAIN, VAL):
        wanted = {frame for record in ShardReader(shards) if record.scene_id == scene for frame in record.frame_ids}
        frames = READERS[form](scenes / form / scene)
        assert {int(name.partition(".")[0]) for name in frames} == wanted
        assert {path.name for path in (scenes / form / scene / "images").iterdir()} == set(frames)


def test_depth_is_the_stored_one_and_the_cloud_lies_on_it(shards: Path, scenes: Path) -> None:
    import open3d

    records = [record for record in ShardReader(shards) if record.scene_id == TRAIN]
    folder = scenes / "transforms" / TRAIN
    for record in records:
        for frame, frame_id in enumerate(record.frame_ids):
            depth = cv2.imread(str(folder / "depth" / f"{frame_id:05d}.png"), cv2.IMREAD_UNCHANGED)
            np.testing.assert_array_equal(depth, np.rint(record.depth(frame) * 1000))
    cloud = open3d.io.read_point_cloud(str(folder / "points.ply"))
    assert len(cloud.points) > 500
    assert cloud.has_colors()
    surface = open3d.geometry.PointCloud()
    for record in records:
        assert record.axis_alignment is not None
        points = record.pointmap().reshape(-1, 3)
        part = open3d.geometry.PointCloud(
            open3d.utility.Vector3dVector(points[np.isfinite(points).all(axis=1)].astype(np.float64))
        )
        surface += part.transform(record.axis_alignment @ record.camera_to_world[0])
    assert max(cloud.compute_point_cloud_distance(surface)) < 1e-3
    lines = (scenes / "colmap" / TRAIN / "sparse" / "0" / "points3D.txt").read_text().splitlines()[1:]
    listed = np.array([[float(value) for value in text.split()[1:4]] for text in lines])
    np.testing.assert_allclose(listed, np.asarray(cloud.points), atol=1e-4)


def test_this_projects_own_reader_gets_the_same_cameras(shards: Path, scenes: Path, tmp_path: Path) -> None:
    out = tmp_path / "again"
    size = f"frames.image_size=[{SIZE[0]},{SIZE[1]}]"
    command = ["build-shards", "--rgbd", str(scenes / "transforms"), "--out", str(out), "--executor", "inline"]
    settings = [size, "frames.upright=false", "clips.interval=3", "clips.frames=2", "clips.max_shift=0"]
    assert main([*command, *(part for setting in settings for part in ("--set", setting))]) == 0
    cameras = {}
    for record in ShardReader(shards):
        assert record.axis_alignment is not None
        for frame, frame_id in enumerate(record.frame_ids):
            pose = record.axis_alignment @ record.camera_to_world[frame]
            cameras[record.scene_id, frame_id] = record.intrinsics[frame], pose
    for record in ShardReader(out):
        for frame, frame_id in enumerate(record.frame_ids):
            intrinsics, pose = cameras[record.scene_id, frame_id]
            np.testing.assert_allclose(record.intrinsics[frame], intrinsics, atol=1e-9)
            np.testing.assert_allclose(record.camera_to_world[frame], pose, atol=1e-6)


def test_colmap_itself_reads_the_model(shards: Path, scenes: Path) -> None:
    pycolmap = pytest.importorskip("pycolmap")
    model = pycolmap.Reconstruction(str(scenes / "colmap" / TRAIN / "sparse" / "0"))
    images = {image.name: image for image in model.images.values()}
    for record in ShardReader(shards):
        if record.scene_id != TRAIN:
            continue
        frames = {name: Seen(image=scenes / "colmap" / TRAIN / "images" / name, to_pixel=_by_colmap(model, image))
                  for name, image in images.items()}  # fmt: skip
        assert record.axis_alignment is not None
        assert reprojection(record, frames, record.axis_alignment) < PIXELS


def _by_colmap(model: Any, image: Any) -> Callable[[NDArray[np.float64]], NDArray[np.float64]]:
    camera, pose = model.cameras[image.camera_id], image.cam_from_world()
    return lambda points: np.array([camera.img_from_cam(pose * point) for point in points])


@pytest.mark.parametrize("form", list(READERS))
def test_frames_with_cameras_of_their_own_and_a_world_of_their_own(form: str, tmp_path: Path) -> None:
    record = room_record(3, SIZE)
    intrinsics = record.intrinsics * np.array([[1.0], [1.1], [1.0]])
    record = replace(record, intrinsics=intrinsics)
    report = export_build(form, write_build(tmp_path / "build", [record]), tmp_path / "out")
    assert report["own_world"] == 1
    assert reprojection(record, READERS[form](tmp_path / "out" / record.scene_id), np.eye(4)) < PIXELS


def test_a_scene_is_listed_when_it_is_whole_and_an_interrupted_export_goes_on(
    shards: Path, scenes: Path, tmp_path: Path
) -> None:
    def stop(count: int) -> None:
        seen.append(count)
        if len(seen) == len(ShardReader(shards)) - 1:
            raise KeyboardInterrupt

    for form, last in (("transforms", "transforms.json"), ("colmap", "sparse/0/images.txt")):
        seen: list[int] = []
        out = tmp_path / form
        with pytest.raises(KeyboardInterrupt):
            export_build(form, shards, out, progress=stop)
        assert [(out / scene / last).exists() for scene in (TRAIN, VAL)] == [True, False]
        assert main(["export", str(shards), "--format", form, "--out", str(out)]) == 0
        assert tree(out) == tree(scenes / form)
    again = shutil.copytree(scenes / "colmap", tmp_path / "other")
    (again / TRAIN / "sparse" / "0" / "cameras.txt").write_text("mine")
    with pytest.raises(ShardError, match="differs from what this build holds"):
        export_build("colmap", shards, again)


def test_records_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    record = room_record(3, SIZE)
    part = part_of(record, (1, 2), "room0000_00-clip-00030")
    poses = part.camera_to_world.copy()
    poses[:, 0, 3] += 0.5
    moved = replace(part, camera_to_world=poses)
    other = replace(part, scene_id="room0001_00")
    for records, problem in (
        ([record, moved], "another record has other bytes for this frame"),
        ([record, other, replace(part, key="room0000_00-clip-00031")], "do not lie together"),
        ([record, replace(part, axis_alignment=np.diag([-1.0, -1.0, 1.0, 1.0]))], "has another axis alignment"),
        ([replace(record, scene_id="../evil")], "cannot be the name of a folder"),
    ):
        build = write_build(tmp_path / f"build{len(list(tmp_path.iterdir()))}", records)
        with pytest.raises(ShardError, match=problem):
            export_build("colmap", build, tmp_path / "out" / build.name)


def test_a_quaternion_is_the_rotation_for_every_angle() -> None:
    rng = np.random.default_rng(0)
    angles = [0.0, 1e-9, 1e-4, 1.0, np.pi - 1e-7, np.pi]
    for angle in angles:
        axis = rng.normal(size=3)
        axis /= np.linalg.norm(axis)
        rotation = cv2.Rodrigues(axis * angle)[0]
        w, *vector = quaternion_of(rotation).tolist()
        points, axis = rng.normal(size=(5, 3)), np.array(vector)
        once = np.cross(axis, points)
        np.testing.assert_allclose(
            points + 2 * w * once + 2 * np.cross(axis, once), points @ rotation.T, atol=1e-9, err_msg=str(angle)
        )
        assert w >= 0
