"""CA-1M: tars that are read in place, against a room whose every depth is known from geometry."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.errors import SourceError, UsageError
from gapdata.geometry.camera import transform
from gapdata.geometry.upright import find_turn
from gapdata.sources.ca1m import Ca1m
from gapdata.sources.ca1m_scan import Ca1mScan
from gapdata.sources.registry import open_dataset, recognised_as
from tests.support.builds import NEAR, overrides
from tests.support.fused_clouds import compactness
from tests.support.object_stores import s3_server

VIDEO = "42898570"
FRAMES = 40
FIRST = 273_954_896_831_666  # nanoseconds
ROOM = np.array([4.0, 5.0, 3.0])  # metres, from the origin
TABLE = (np.array([2.0, 4.0, 0.4]), np.array([1.2, 0.8, 0.8]))  # centre, size
COLOR, DEPTH = (128, 96), (64, 48)
K = np.array([[100.0, 0, 63.5], [0, 101.0, 47.5], [0, 0, 1]])
K_DEPTH = np.array([[50.0, 0, 31.5], [0, 50.5, 23.5], [0, 0, 1]])

Members = dict[str, bytes]


def pose(frame: int) -> NDArray[np.float64]:
    """Camera to world: a step to the side and a turn, looking a little down."""
    yaw, pitch = np.radians(60 + 1.5 * frame), np.radians(15)
    forward = np.array([np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), -np.sin(pitch)])
    right = np.array([np.sin(yaw), -np.cos(yaw), 0])
    matrix = np.eye(4)
    matrix[:3, :3] = np.stack([right, np.cross(forward, right), forward], axis=1)
    matrix[:3, 3] = 1.2 + 0.03 * frame, 1.5, 1.6
    return matrix


def seen(camera: NDArray[np.float64], size: tuple[int, int], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """z-depth (H, W) of the room and its table: slabs hit by the rays of all pixels."""
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    local = np.stack([(u - camera[0, 2]) / camera[0, 0], (v - camera[1, 2]) / camera[1, 1], np.ones(u.shape)], axis=-1)
    rays = local @ place[:3, :3].T
    with np.errstate(divide="ignore"):
        walls = np.maximum(-place[:3, 3] / rays, (ROOM - place[:3, 3]) / rays).min(axis=-1)
        sides = np.stack([(TABLE[0] + sign * TABLE[1] / 2 - place[:3, 3]) / rays for sign in (-1, 1)])
    enter, leave = sides.min(axis=0).max(axis=-1), sides.max(axis=0).min(axis=-1)
    return np.where((enter > 0) & (enter < leave), enter, walls)


def encoded(ending: str, image: NDArray[np.generic]) -> bytes:
    return cv2.imencode(ending, image)[1].tobytes()


def members(frames: int = FRAMES, rate: float = 30.0) -> Members:
    """The members of a capture by name, in the order of the real ones: frames by stamp, then the world."""
    found: Members = {}
    for frame in range(frames):
        place = pose(frame)
        name = f"{VIDEO}/{FIRST + round(frame * 1e9 / rate)}"
        millimetres = np.rint(seen(K_DEPTH, DEPTH, place) * 1000).astype(np.uint16)
        shade = np.clip(seen(K, COLOR, place) * 40, 0, 255).astype(np.uint8)
        sure = np.tile(np.repeat(np.array([0, 0.5, 1, 1], dtype=np.float32), DEPTH[0] // 4), (DEPTH[1], 1))
        up = place[2, :3]
        level = np.stack([np.cross(-up, [0, 0, 1]), -up, np.zeros(3)], axis=1)
        level[:, 0] /= np.linalg.norm(level[:, 0])
        level[:, 2] = np.cross(level[:, 0], level[:, 1])
        found |= {
            f"{name}.wide/image.png": encoded(".png", np.stack([shade, shade // 2, 255 - shade], axis=-1)),
            f"{name}._wide/image/size": json.dumps(COLOR).encode(),
            f"{name}.wide/image/K.json": json.dumps(K.tolist()).encode(),
            f"{name}.wide/depth.png": encoded(".png", millimetres),
            f"{name}.wide/depth/confidence.tiff": encoded(".tiff", sure),
            f"{name}.wide/depth/K.json": json.dumps(K_DEPTH.ravel().tolist()).encode(),
            f"{name}.wide/T_gravity.json": json.dumps(level.tolist()).encode(),
            f"{name}.wide/instances.json": b"[]",
            f"{name}.gt/RT.json": json.dumps(place.tolist()).encode(),
        }
    floor = {"position": [2, 2.5, -0.05], "scale": [4, 5, 0.1]}
    table = {"position": TABLE[0].tolist(), "scale": TABLE[1].tolist()}
    boxes = [
        {"id": f"uid-{label}", "category": label, "R": np.eye(3).tolist(), **box}
        for label, box in (("floor", floor), ("object", table))
    ]
    boxes.append({"id": "no-size", "category": "object", "position": [0, 0, 0], "R": np.eye(3).tolist()})
    return {**found, f"{VIDEO}/world.gt/instances.json": json.dumps(boxes).encode()}


def written(folder: Path, content: Members, split: str = "val", video: str = VIDEO) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / f"ca1m-{split}-{video}.tar", "w") as tar:
        for name, data in content.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return folder


@pytest.fixture(scope="module")
def content() -> Members:
    return members()


@pytest.fixture(scope="module")
def download(content: Members, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return written(tmp_path_factory.mktemp("ca1m"), content)


def opened(root: Path) -> Ca1mScan:
    return Ca1m.open(root).open_scan(VIDEO)


def test_frames_cameras_and_poses_are_those_of_the_room(download: Path) -> None:
    with opened(download) as scan:
        assert scan.frame_count == FRAMES
        assert scan.present.all()
        assert not scan.notes
        for frame in (0, 17, FRAMES - 1):
            np.testing.assert_allclose(scan.camera_to_world[frame], pose(frame))
            np.testing.assert_allclose(scan.color_camera(frame).matrix, K)
            np.testing.assert_allclose(scan.depth_camera(frame).matrix, K_DEPTH)
            assert scan.color(frame).shape == (COLOR[1], COLOR[0], 3)
            truth = seen(K_DEPTH, DEPTH, pose(frame))
            assert np.abs(scan.depth(frame) / 1000 - truth).max() <= 0.0005001
            confidence = scan.confidence(frame)
            assert confidence is not None
            assert [np.unique(part).tolist() for part in np.split(confidence, 4, axis=1)] == [[0], [1], [2], [2]]


def test_the_scanners_world_is_level_and_the_frames_upright(download: Path) -> None:
    with opened(download) as scan:
        assert scan.world_up is not None
        assert scan.axis_alignment is not None
        np.testing.assert_allclose(scan.world_up, [0, 0, 1], atol=1e-9)
        assert find_turn(scan.camera_to_world, scan.world_up) == 0
        counts = compactness(scan, range(0, FRAMES, 4))
        right = counts.pop("camera_to_world opencv")
        assert right < 0.7 * min(counts.values())


def test_boxes_enclose_the_depth_of_their_objects(download: Path) -> None:
    with opened(download) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        assert [(item.object_id, item.label) for item in annotation.objects] == [(0, "floor"), (1, "object")]
        assert annotation.notes == {"box_without_numbers": 1}
        box = annotation.objects[1].box
        assert box is not None
        np.testing.assert_allclose([box.center, box.size], TABLE)
        camera, depth = scan.depth_camera(10), scan.depth(10) / 1000
        local = (camera.rays() * depth[..., None]).reshape(-1, 3)
        cloud = transform(scan.camera_to_world[10], local)
        inside = (np.abs(cloud - box.center) < box.size / 2 + 0.005).all(axis=1)
        higher = (cloud[:, 2] > 0.01) & ((cloud > 0.01) & (cloud < ROOM - 0.01)).all(axis=1)
        assert inside.sum() > 100
        assert (higher <= inside).all()
    labels = Ca1m.open(download).labels
    assert labels("object") == {"raw": "object"}
    assert labels("floor")["nyu40"] == "floor"


def test_frames_of_a_faster_video_keep_their_seconds(tmp_path: Path) -> None:
    with opened(written(tmp_path, members(20, rate=60.0))) as scan:
        assert scan.frame_count == 11
        assert scan.present.all()
        np.testing.assert_allclose(scan.camera_to_world[3], pose(6))


def test_splits_places_and_folders(content: Members, download: Path, tmp_path: Path) -> None:
    written(tmp_path / "train", {}, "train", "47331990")
    written(tmp_path / "train", {}, "train")
    written(tmp_path / "val", content)
    (tmp_path / "metadata.csv").write_text(f"video_id,visit_id,fold\n{VIDEO},421380,Validation\n")
    dataset = Ca1m.open(tmp_path)
    assert dataset.scene_ids == (VIDEO, "47331990")
    assert [dataset.split(scene) for scene in dataset.scene_ids] == ["val", "train"]
    assert dataset.in_two_splits == {VIDEO: ("train", "val")}
    assert dataset.places(VIDEO) == (f"arkitscenes video {VIDEO}", "arkitscenes visit 421380")
    assert dataset.directory(VIDEO).parent.name == "val"
    assert recognised_as(tmp_path) == recognised_as(download) == "ca1m"
    with pytest.raises(UsageError, match="this looks like CA-1M: use --ca1m"):
        open_dataset(arkitscenes=download)


def key(content: Members, frame: int, kind: str) -> str:
    return [name for name in content if name.endswith(kind)][frame]


def test_a_frame_without_a_pose_has_none_and_the_rest_stays(content: Members, tmp_path: Path) -> None:
    left = {name: data for name, data in content.items() if name != key(content, 5, ".gt/RT.json")}
    left[key(content, 6, ".gt/RT.json")] = b"[[NaN"
    with opened(written(tmp_path, left)) as scan:
        assert np.flatnonzero(np.isnan(scan.camera_to_world).any(axis=(1, 2))).tolist() == [5, 6]
        assert scan.notes == {"frame_without_pose": 2, "unreadable_matrix": 1}
        np.testing.assert_allclose(scan.camera_to_world[7], pose(7))


def test_a_frame_without_depth_or_with_a_strange_camera_is_left_out(content: Members, tmp_path: Path) -> None:
    left = {name: data for name, data in content.items() if name != key(content, 3, "wide/depth.png")}
    left[key(content, 4, "image/K.json")] = b"[[0, 0, 0], [0, 0, 0], [0, 0, 1]]"
    with opened(written(tmp_path, left)) as scan:
        assert np.flatnonzero(~scan.present).tolist() == [3, 4]
        assert scan.notes == {"frame_with_impossible_intrinsics": 1, "incomplete_frame": 1}


@pytest.mark.parametrize(
    ("kind", "data", "read", "message"),
    [
        ("wide/image.png", encoded(".png", np.zeros((128, 96, 3), np.uint8)), Ca1mScan.color, "is 96x128, but other"),
        ("wide/image.png", b"\x89PNG", Ca1mScan.color, "is neither a complete JPEG or PNG"),
        ("wide/depth.png", encoded(".png", np.zeros((64, 48), np.uint16)), Ca1mScan.depth, "is 48x64, expected 64x48"),
        ("confidence.tiff", b"II*\0", Ca1mScan.confidence, "is a TIFF"),
        ("confidence.tiff", encoded(".tiff", np.full((48, 64), 2, np.float32)), Ca1mScan.confidence, "outside of 0"),
    ],
)
def test_a_damaged_image_is_an_error_of_its_frame(
    content: Members,
    tmp_path: Path,
    kind: str,
    data: bytes,
    read: Callable[[Ca1mScan, int], object],
    message: str,
) -> None:
    name = key(content, 8, kind)
    with opened(written(tmp_path, {**content, name: data})) as scan:
        with pytest.raises(SourceError) as caught:
            read(scan, 8)
        assert message in str(caught.value)
        assert name in str(caught.value)
        assert caught.value.frame == 8
        read(scan, 9)


def test_half_a_tar_is_damaged_and_a_repair_is_noticed(download: Path, content: Members, tmp_path: Path) -> None:
    whole = (download / f"ca1m-val-{VIDEO}.tar").read_bytes()
    place = tmp_path / f"ca1m-val-{VIDEO}.tar"
    place.write_bytes(whole[: len(whole) // 2])
    dataset = Ca1m.open(tmp_path)
    with pytest.raises(SourceError, match="cut off or damaged"):
        dataset.open_scan(VIDEO)
    before = dataset.unreadable_digest(VIDEO)
    place.write_bytes(whole)
    assert dataset.unreadable_digest(VIDEO) != before
    moved = json.dumps((pose(0) + 0.5).round(3).tolist()).encode()
    with opened(download) as scan, opened(written(tmp_path / "b", content)) as same:
        assert scan.digest() == same.digest()
        first = key(content, 0, ".gt/RT.json")
        with opened(written(tmp_path / "c", {**content, first: moved.ljust(len(content[first]))})) as other:
            assert other.digest() != scan.digest()


def test_a_leaning_world_is_not_taken_for_level(content: Members, tmp_path: Path) -> None:
    lain = np.array([[1.0, 0, 0, 0], [0, 0, -1, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    poses = {name: (lain @ np.array(json.loads(data))).tolist() for name, data in content.items() if "RT" in name}
    turned = {**content, **{name: json.dumps(value).encode() for name, value in poses.items()}}
    with opened(written(tmp_path, turned)) as scan:
        assert scan.axis_alignment is None
        assert scan.world_up is not None
        np.testing.assert_allclose(scan.world_up, lain[:3, 2], atol=1e-9)


def test_two_builds_are_equal_and_one_from_a_store_too(download: Path, tmp_path: Path) -> None:
    def built(place: object, out: Path) -> bytes:
        words = ["build-shards", "--ca1m", str(place), "--out", str(out), *overrides(NEAR), "--executor", "inline"]
        assert main(words) == 0
        return (out / "shard-000000.tar").read_bytes()

    first = built(download, tmp_path / "one")
    assert built(download, tmp_path / "two") == first
    report = json.loads((tmp_path / "one" / "report.json").read_text())
    assert b".json" in first  # it has records
    assert report["terms"][0]["title"] == "CA-1M"
    assert not report["terms"][0]["redistributable"]
    with s3_server() as store:
        assert built(store.copy_in(download, "ca1m"), tmp_path / "three") == first
