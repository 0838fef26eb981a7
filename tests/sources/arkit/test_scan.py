"""One capture: frames by time, a camera each, and what happens where files are missing or damaged."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gapdata.errors import SourceError
from gapdata.geometry.upright import find_turn
from gapdata.sources.arkit.scan import ArkitScan
from tests.support.arkit_captures import (
    CAPTURE,
    PINCAM,
    SIZE,
    STAMPS,
    camera_at,
    row,
    write_boxes,
    write_cameras,
    write_capture,
    write_confidence,
    write_frames,
    write_images,
)
from tests.support.exports import png

NAMES = [f"{CAPTURE}_{float(stamp):.3f}" for stamp in STAMPS]
TICKS = [0, 3, 6, 9, 12, 15]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_capture(tmp_path)


@pytest.fixture
def frames(home: Path) -> Path:
    return home / f"{CAPTURE}_frames"


def opened(home: Path) -> ArkitScan:
    return ArkitScan(CAPTURE, (home,))


def test_frames_follow_in_time_on_a_clock_of_30_hz(home: Path) -> None:
    scan = opened(home)
    assert np.flatnonzero(scan.present).tolist() == TICKS
    assert scan.frame_count == 16
    for place, frame in enumerate(TICKS):
        assert (scan.color(frame) == 90 + place).all()
        depth = scan.depth(frame)
        assert depth[0, 0] == (place if place else 0)
        assert (depth[1:] == 2000 + place).all()
        assert np.allclose(scan.camera_to_world[frame], camera_at(float(STAMPS[place])), atol=1e-4)
    assert not dict(scan.notes)


def test_the_world_has_z_up(home: Path) -> None:
    scan = opened(home)
    assert scan.world_up is not None
    assert scan.world_up.tolist() == [0, 0, 1]
    assert (scan.axis_alignment == np.eye(4)).all()
    assert find_turn(scan.camera_to_world, scan.world_up) == 0


def test_every_frame_has_its_own_camera(home: Path, frames: Path) -> None:
    later = frames / "lowres_wide_intrinsics" / f"{CAPTURE}_1000.001.pincam"
    (frames / "lowres_wide_intrinsics" / f"{NAMES[3]}.pincam").rename(later)
    later.write_text("32 24 30 29 16 12")
    scan = opened(home)
    camera = scan.color_camera(TICKS[3])
    assert (camera.fx, camera.fy, camera.cx, camera.cy) == (30, 29, 16, 12)
    assert scan.depth_camera(TICKS[3]) == camera
    assert scan.color_camera(0).fx == scan.color_intrinsics.fx == 26.511


def test_colour_of_640_by_480_is_read_where_there_is_no_other(home: Path, frames: Path) -> None:
    (frames / "lowres_wide").rename(frames / "lowres_small")
    write_images(home, NAMES, (80, 60), color="vga_wide")
    scan = opened(home)
    assert scan.color(0).shape == (60, 80, 3)
    assert scan.depth(0).shape == (24, 32)
    assert scan.color_camera(0).fx == pytest.approx(2.5 * 26.511)
    assert scan.depth_camera(0).fx == pytest.approx(26.511)


def test_the_names_of_the_first_packages_are_read(tmp_path: Path) -> None:
    """``wide``, ``depth_densified``, ``color_intrinsics`` with four decimals, and names without an id."""
    stamps = ["6845.70605696", "6845.80601079", "6845.90596450"]
    frames = tmp_path / CAPTURE / f"{CAPTURE}_frames"
    write_images(frames, stamps, color="wide")
    (frames / "lowres_depth").rename(frames / "depth_densified")
    write_cameras(frames / "color_intrinsics", ["6845.7061", "6845.8060", "6845.9060"])
    (frames / "color.traj").write_text("\n".join(row(stamp, camera_at(1000.0)) for stamp in stamps))
    write_boxes(tmp_path / CAPTURE)
    scan = opened(tmp_path / CAPTURE)
    assert np.flatnonzero(scan.present).tolist() == [0, 3, 6]
    assert np.isfinite(scan.camera_to_world[[0, 3, 6]]).all()


def test_depth_of_the_first_packages_that_saw_more_than_colour_is_refused(tmp_path: Path) -> None:
    stamps = ["6845.70605696", "6845.80601079"]
    frames = tmp_path / CAPTURE / f"{CAPTURE}_frames"
    write_images(frames, stamps, (48, 36), color="wide")
    (frames / "lowres_depth").rename(frames / "depth_densified")
    write_images(frames, stamps, color="wide")
    (frames / "lowres_depth").rename(frames / "other")
    write_cameras(frames / "color_intrinsics", stamps)
    (frames / "color.traj").write_text("\n".join(row(stamp, camera_at(1000.0)) for stamp in stamps))
    with pytest.raises(SourceError, match="48x36 and 32x24"):
        opened(tmp_path / CAPTURE)


def test_confidence_is_given_where_it_lies(home: Path, frames: Path) -> None:
    levels = np.full((24, 32), 1, np.uint8)
    levels[0] = [0, 1, 2, 2] * 8
    write_confidence(frames, NAMES[1:], levels)
    scan = opened(home)
    found = scan.confidence(TICKS[1])
    assert found is not None
    assert (found == levels).all()
    assert scan.confidence(0) is None
    assert dict(scan.notes) == {"frame_without_confidence": 1}


def test_boxes_come_with_the_mesh_in_one_world(home: Path) -> None:
    annotation = opened(home).annotation()
    assert annotation is not None
    assert [item.label for item in annotation.objects] == ["chair", "tv/monitor"]
    assert (len(annotation.vertices), len(annotation.faces)) == (4, 2)
    (home / f"{CAPTURE}_3dod_mesh.ply").unlink()
    annotation = opened(home).annotation()
    assert annotation is not None
    assert len(annotation.vertices) == 0
    assert len(annotation.objects) == 2
    assert annotation.notes == {"without_mesh": 1}


def test_a_capture_that_nobody_annotated_has_no_annotation_and_says_so(home: Path) -> None:
    write_boxes(home, [], skipped=True)
    scan = opened(home)
    assert scan.annotation() is None
    assert dict(scan.notes) == {"annotation_skipped": 1}


def test_files_without_their_partners_are_counted_and_the_rest_goes_on(home: Path, frames: Path) -> None:
    (frames / "lowres_depth" / f"{NAMES[1]}.png").unlink()
    (frames / "lowres_wide_intrinsics" / f"{NAMES[2]}.pincam").unlink()
    (frames / "lowres_wide_intrinsics" / f"{NAMES[4]}.pincam").write_text("32 24 26.5")
    (frames / "lowres_wide" / "notes.txt").write_text("mine")
    scan = opened(home)
    assert np.flatnonzero(scan.present).tolist() == [TICKS[0], TICKS[3], TICKS[5]]
    assert dict(scan.notes) == {
        "frame_without_depth": 1,
        "frame_without_camera": 1,
        "color_file_of_no_frame": 1,
        "unreadable_camera": 1,
    }


def test_a_frame_in_a_hole_of_the_poses_has_none(home: Path, frames: Path) -> None:
    kept = [stamp for stamp in STAMPS if stamp != "1000.0"]
    (frames / "lowres_wide.traj").write_text("\n".join(map(row, kept)))
    scan = opened(home)
    assert scan.present[9]
    assert np.isnan(scan.camera_to_world[9]).all()
    assert dict(scan.notes) == {"frame_without_pose": 1}


Damage = Callable[[Path], object]
WHOLE_SCAN: dict[str, tuple[Damage, str]] = {
    "no colour": (
        lambda frames: (frames / "lowres_wide").rename(frames / "x"),
        r"lacks lowres_wide/.*download_data\.py",
    ),
    "no poses": (lambda frames: (frames / "lowres_wide.traj").unlink(), "lacks lowres_wide.traj.*24 of its raw"),
    "empty poses": (lambda frames: (frames / "lowres_wide.traj").write_text(""), "has no row"),
    "half a pose": (
        lambda frames: (frames / "lowres_wide.traj").write_bytes((frames / "lowres_wide.traj").read_bytes()[:-70]),
        "line 6 has .* expected t rx ry rz tx ty tz; download it again",
    ),
    "poses of NaN": (
        lambda frames: (frames / "lowres_wide.traj").write_text("999.7 nan nan nan nan nan nan\n"),
        "has no pose for any frame",
    ),
    "other poses": (
        lambda frames: (frames / "lowres_wide.traj").write_text(row("5.1") + "\n" + row("5.2")),
        "frames are from 999.700000 to 1000.200000 s, poses from 5.1 to 5.2 s",
    ),
    "empty folder": (
        lambda frames: [path.rename(frames / path.name) for path in (frames / "lowres_depth").iterdir()],
        "6 colour images, 0 depth images and 6 camera files|6 colour images, 0 depth images, 6 camera files",
    ),
    "other cameras": (
        lambda frames: [path.write_text("32 18 26 26 16 9") for path in (frames / "lowres_wide_intrinsics").iterdir()],
        "of an image of 32x18, but the image is 32x24",
    ),
    "no camera": (
        lambda frames: [path.write_text("") for path in (frames / "lowres_wide_intrinsics").iterdir()],
        "has 0 numbers, expected width height fx fy cx cy",
    ),
    "no image": (
        lambda frames: [path.write_bytes(b"") for path in (frames / "lowres_wide").iterdir()],
        "neither a complete JPEG or PNG",
    ),
}


@pytest.mark.parametrize("name", WHOLE_SCAN)
def test_a_capture_that_cannot_be_used_says_why_in_one_line(name: str, home: Path, frames: Path) -> None:
    damage, said = WHOLE_SCAN[name]
    damage(frames)
    with pytest.raises(SourceError, match=said) as raised:
        opened(home)
    assert raised.value.scene == CAPTURE
    assert "\n" not in str(raised.value)


def test_archives_that_were_not_unpacked_are_named(home: Path, frames: Path) -> None:
    (frames / "lowres_depth").rename(frames / "gone")
    (home / "lowres_depth.zip").write_bytes(b"PK")
    with pytest.raises(SourceError, match=r"lacks lowres_depth/; unpack lowres_depth\.zip"):
        opened(home)


ONE_FRAME: dict[str, tuple[str, bytes, str]] = {
    "cut colour": ("lowres_wide", png(np.zeros((24, 32, 3), np.uint8))[:-20], "neither a complete JPEG or PNG"),
    "larger colour": ("lowres_wide", png(np.zeros((48, 64, 3), np.uint8)), "is 64x48, but other frames are 32x24"),
    "cut depth": ("lowres_depth", png(np.zeros((24, 32), np.uint16))[:-20], "cut off"),
    "depth of 8 bits": ("lowres_depth", png(np.zeros((24, 32), np.uint8)), "16-bit greyscale"),
    "larger depth": ("lowres_depth", png(np.zeros((48, 64), np.uint16)), "is 64x48, expected 32x24"),
    "cut confidence": ("confidence", png(np.zeros((24, 32), np.uint8))[:-9], "is not a complete"),
    "larger confidence": ("confidence", png(np.zeros((48, 64), np.uint8)), "is 64x48, expected 32x24"),
    "other levels": ("confidence", png(np.full((24, 32), 255, np.uint8)), "confidence of 255, expected 0, 1 and 2"),
}


@pytest.mark.parametrize("name", ONE_FRAME)
def test_a_damaged_image_is_named_and_other_frames_are_read(name: str, home: Path, frames: Path) -> None:
    folder, data, said = ONE_FRAME[name]
    write_confidence(frames, NAMES, np.full((24, 32), 2, np.uint8))
    (frames / folder / f"{NAMES[2]}.png").write_bytes(data)
    scan = opened(home)
    readers: dict[str, Callable[[int], object]] = {
        "lowres_wide": scan.color,
        "lowres_depth": scan.depth,
        "confidence": scan.confidence,
    }
    read = readers[folder]
    with pytest.raises(SourceError, match=said) as raised:
        read(TICKS[2])
    assert (raised.value.scene, raised.value.frame) == (CAPTURE, TICKS[2])
    assert f"{NAMES[2]}.png" in str(raised.value)
    assert read(TICKS[3]) is not None


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (f"{CAPTURE}_3dod_annotation.json", b'{"data": [', "not valid JSON"),
        (f"{CAPTURE}_3dod_mesh.ply", b"ply\nformat binary_little_endian 1.0\nelement vertex 99\n", "mesh"),
        (f"{CAPTURE}_3dod_mesh.ply", b"", "mesh"),
    ],
)
def test_a_damaged_annotation_is_named_when_it_is_asked_for(name: str, data: bytes, said: str, home: Path) -> None:
    (home / name).write_bytes(data)
    scan = opened(home)
    assert scan.depth(0).shape == SIZE[::-1]
    with pytest.raises(SourceError, match=said):
        scan.annotation()


def test_the_digest_changes_with_every_file_that_matters(home: Path, frames: Path) -> None:
    write_confidence(frames, NAMES, np.full((24, 32), 2, np.uint8))
    digests = [opened(home).digest()]
    assert opened(home).digest() == digests[0]
    changes: list[tuple[Path, bytes]] = [
        (frames / "lowres_wide" / f"{NAMES[0]}.png", png(np.zeros((24, 32, 3), np.uint8)) + b""),
        (frames / "lowres_wide_intrinsics" / f"{NAMES[1]}.pincam", PINCAM.replace("12.3374", "12.3375").encode()),
        (frames / "lowres_wide.traj", (frames / "lowres_wide.traj").read_bytes().replace(b"1.5", b"1.6", 1) + b"\n"),
        (frames / "confidence" / f"{NAMES[0]}.png", png(np.eye(24, 32, dtype=np.uint8))),
        (home / f"{CAPTURE}_3dod_annotation.json", json.dumps({"data": [], "skipped": False}).encode()),
        (home / f"{CAPTURE}_3dod_mesh.ply", b"ply\n"),
    ]
    for path, data in changes:
        path.write_bytes(data)
        digests.append(opened(home).digest())
    assert len(set(digests)) == len(changes) + 1


def test_raw_images_of_60_hz_give_one_frame_for_each_tick(tmp_path: Path) -> None:
    stamps = [f"{1000 + frame / 60:.3f}" for frame in range(61)]
    home = tmp_path / "raw" / "Training" / CAPTURE
    write_frames(home, stamps=stamps)
    (home / "lowres_wide.traj").write_text("\n".join(row(f"{1000 + step / 10:.8f}") for step in range(11)))
    scan = opened(home)
    assert np.flatnonzero(scan.present).tolist() == list(range(31))
    assert np.isfinite(scan.camera_to_world).all()
    for tick in range(31):
        assert np.abs(scan.camera_to_world[tick] - camera_at(1000 + tick / 30)).max() < 0.008
    assert dict(scan.notes) == {"frame_beyond_30_hz": 30, "pose_interpolated": 20}
