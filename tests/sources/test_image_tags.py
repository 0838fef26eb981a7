"""Which way up a camera was held never decides by accident: a frame's pixels are those that its intrinsics speak of,
and no tag of a source image reaches a shard.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.files.image_tags import jpeg_without_metadata, orientation_tag
from gapdata.geometry.camera import Intrinsics
from gapdata.shards.reader import ShardReader
from gapdata.sources.orientation import turned
from gapdata.sources.scannet import ScanNetScan
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.lenses import CAMERA, pose, seen, straight, write_room
from tests.support.scannet_scenes import COLOR, DEPTH

SECRETS = (b"Exif", b"GPS-51.5-0.12", b"<x:xmpmeta", b"ICC_PROFILE", b"a comment", b"THUMBNAIL", b"MOTION-PHOTO")
BACK = {1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 8, 7: 7, 8: 6}
"""The orientation that undoes each one."""


def segment(marker: int, body: bytes) -> bytes:
    return bytes([0xFF, marker]) + (len(body) + 2).to_bytes(2, "big") + body


def tagged(data: bytes, orientation: int, order: str = ">") -> bytes:
    """A JPEG with everything that phones add: EXIF with the tag and a place, XMP, a profile, a thumbnail, a comment,
    and a film behind the end.
    """
    mark = b"MM" if order == ">" else b"II"
    entries = struct.pack(f"{order}HHIHH", 0x0112, 3, 1, orientation, 0) + struct.pack(f"{order}HHII", 0x8825, 4, 1, 38)
    tiff = mark + struct.pack(f"{order}HIH", 42, 8, 2) + entries + struct.pack(f"{order}I", 0) + b"GPS-51.5-0.12"
    extra = [segment(0xE1, b"Exif\0\0" + tiff), segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta>")]
    extra += [segment(0xE2, b"ICC_PROFILE\0"), segment(0xE0, b"JFXX\0THUMBNAIL"), segment(0xFE, b"a comment")]
    return data[:20] + b"".join(extra) + data[20:] + b"MOTION-PHOTO"


def as_on_the_sensor(folder: Path, orientation: int, *, depth_too: bool = True) -> None:
    """Store colour (and depth) as a sensor would that was held so that ``orientation`` turns them upright."""
    for path in (folder / "color").iterdir():
        upright = cv2.imread(str(path))
        sensor = turned(upright, BACK[orientation])
        data = cv2.imencode(".jpg", sensor, [cv2.IMWRITE_JPEG_QUALITY, 97])[1].tobytes()
        path.write_bytes(tagged(data, orientation))
    for path in (folder / "depth").iterdir() if depth_too else ():
        cv2.imwrite(str(path), turned(cv2.imread(str(path), cv2.IMREAD_UNCHANGED), BACK[orientation]))


def build(root: Path, out: Path, size: tuple[int, int] = (256, 192)) -> int:
    settings = [f"frames.image_size=[{size[0]},{size[1]}]", "clips.interval=1", "clips.max_shift=0"]
    overrides = [part for setting in (*settings, "scene_views.enabled=false") for part in ("--set", setting)]
    return main(["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline"])


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_tag_is_left_out_where_the_intrinsics_are_of_the_pixels_as_they_lie(orientation: int, tmp_path: Path) -> None:
    room = write_room(tmp_path / "room", {}, frames=4, change=lambda data: tagged(data, orientation, "<"))
    assert build(room, tmp_path / "out") == 0
    (record,) = ShardReader(tmp_path / "out")
    source = cv2.imdecode(
        np.fromfile(room / "color" / "00000.jpg", np.uint8), cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    )
    (tmp_path / "stored.jpg").write_bytes(record.members["00.jpg"])
    viewed = cv2.imread(str(tmp_path / "stored.jpg"))  # follows orientation tags, as viewers do
    np.testing.assert_array_equal(viewed, source)
    assert record.camera(0) == CAMERA
    tar = (tmp_path / "out" / "shard-000000.tar").read_bytes()
    assert not [secret for secret in SECRETS if secret in tar]
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert notes == ({} if orientation == 1 else {"color_orientation_tag_left_out": 4})


@pytest.mark.parametrize("orientation", range(5, 9))
@pytest.mark.parametrize("stated", [{"width": 192, "height": 256}, {}], ids=["size", "principal point"])
@pytest.mark.parametrize("depth_too", [True, False], ids=["depth on the sensor", "depth upright"])
def test_frames_are_turned_where_the_intrinsics_are_of_the_turned_image(
    orientation: int, stated: dict[str, Any], depth_too: bool, tmp_path: Path
) -> None:
    upright = Intrinsics(fx=230.0, fy=231.0, cx=95.0, cy=128.5, width=192, height=256)
    room = write_room(tmp_path / "room", stated, camera=upright, depth_size=(96, 128))
    as_on_the_sensor(room, orientation, depth_too=depth_too)
    assert build(room, tmp_path / "out", (96, 128)) == 0
    (record,) = ShardReader(tmp_path / "out")
    color, z = seen(record.camera(1), pose(1), straight)
    assert np.abs(record.image(1).astype(int) - color)[2:-2, 2:-2].mean() < 3
    assert np.median(np.abs(record.depth(1) - z)) < 0.003
    assert not [secret for secret in SECRETS if secret in (tmp_path / "out" / "shard-000000.tar").read_bytes()]
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert notes == {"color_turned_as_its_tag_says": 4}


def test_sides_that_do_not_divide_are_turned_before_they_are_reduced(tmp_path: Path) -> None:
    upright = Intrinsics(fx=230.0, fy=230.0, cx=94.0, cy=126.5, width=189, height=254)
    images = []
    for name in ("upright", "sensor"):
        room = write_room(tmp_path / name, {"width": 189, "height": 254}, camera=upright)
        if name == "sensor":
            as_on_the_sensor(room, 6)
        assert build(room, tmp_path / f"{name}-out", (48, 64)) == 0
        images.append(ShardReader(tmp_path / f"{name}-out")[0].image(1).astype(int))
    assert np.abs(images[0] - images[1]).mean() < 2


def test_intrinsics_of_neither_image_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    room = write_room(tmp_path / "room", {"width": 640, "height": 480}, change=lambda data: tagged(data, 6))
    assert build(room, tmp_path / "out") == 3
    assert "is for colour images of 640x480, but the images are 256x192" in capsys.readouterr().out


def test_a_jpeg_without_tags_keeps_every_byte_and_with_them_every_pixel() -> None:
    color, _ = seen(CAMERA, pose(0), straight)
    for options in ([], [cv2.IMWRITE_JPEG_PROGRESSIVE, 1], [cv2.IMWRITE_JPEG_RST_INTERVAL, 4]):
        data = cv2.imencode(".jpg", color, options)[1].tobytes()
        assert jpeg_without_metadata(data) == data
        assert jpeg_without_metadata(tagged(data, 8)) == data
        assert orientation_tag(tagged(data, 8)) == 8
        for end in range(0, len(data) - 1, 97):
            assert jpeg_without_metadata(data[:end]) is None


def test_adobes_mark_stays_because_it_says_what_the_channels_are() -> None:
    color, _ = seen(CAMERA, pose(0), straight)
    data = cv2.imencode(".jpg", color)[1].tobytes()
    adobe = segment(0xEE, b"Adobe\0\x64\0\0\0\0\0")  # transform 0: RGB
    rgb = data[:20] + adobe + data[20:]
    kept = jpeg_without_metadata(data[:20] + segment(0xEE, b"Adobe\0\x64\0\0\0\0\0a secret") + data[20:])
    assert kept == rgb


@pytest.mark.parametrize("tiff", [b"", b"MM", b"MM\0*\xff\xff\xff\xff", b"II*\0\x08\0\0\0\xff\xff", b"XX*\0\0\0\0\x08"])
def test_a_damaged_tag_is_none(tiff: bytes) -> None:
    assert orientation_tag(b"\xff\xd8" + segment(0xE1, b"Exif\0\0" + tiff)) == 1
    assert orientation_tag(b"\xff\xd8\xff\xe1\0") == 1


def test_a_pngs_tag_counts_as_a_jpegs() -> None:
    body = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    data = cv2.imencode(".png", np.zeros((4, 4, 3), np.uint8))[1].tobytes()
    chunk = len(body).to_bytes(4, "big") + b"eXIf" + body + b"\0\0\0\0"
    assert orientation_tag(data[:33] + chunk + data[33:]) == 6


def test_a_webps_tag_counts_as_a_jpegs() -> None:
    body = b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    for exif in (body, b"Exif\0\0" + body):
        chunks = b"VP8L\x05\0\0\0abcde\0" + b"EXIF" + len(exif).to_bytes(4, "little") + exif
        assert orientation_tag(b"RIFF" + (4 + len(chunks)).to_bytes(4, "little") + b"WEBP" + chunks) == 6


def test_the_jpeg_of_a_sens_loses_its_tags_too(tmp_path: Path) -> None:
    folder = tmp_path / "scene0000_00"
    folder.mkdir()
    color = cv2.imencode(".jpg", np.zeros((COLOR.height, COLOR.width, 3), np.uint8))[1].tobytes()
    depth = np.ones((DEPTH.height, DEPTH.width), np.uint16)
    with SensWriter(folder / "scene0000_00.sens", color_intrinsics=COLOR, depth_intrinsics=DEPTH) as writer:
        writer.write(color=tagged(color, 6), depth=depth, camera_to_world=np.eye(4))
    with ScanNetScan(folder) as scan:
        assert scan.color_jpeg(0) == color
