"""ScanNet's 2D projections: read in place, refused where they are damaged, and alike to rendered masks."""

from __future__ import annotations

import dataclasses
import io
import json
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.engine.recipe import read_recipe
from gapdata.errors import SourceError, UsageError
from gapdata.frames.resize import ResizePlan, plan_resize
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.registration import register_depth
from gapdata.geometry.upright import Turn, turn_image
from gapdata.prompts.instances import InstanceRenderer
from gapdata.prompts.projected import ProjectedInstances
from gapdata.shards.reader import ShardReader
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.scannet import ScanNetDataset, ScanNetScan
from gapdata.sources.turned import TurnedScan
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from tests.support.builds import SETTINGS
from tests.support.executors import request_for
from tests.support.object_stores import s3_server
from tests.support.scannet_scenes import COLOR, write_scene

SIZE = (COLOR.width, COLOR.height)
FRAMES = 8


def png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def mask_of(frame: int) -> np.ndarray:
    """(H, W) uint8 with objects 0, 1, 2 in stripes that move with the frame."""
    return ((np.arange(SIZE[0]) + 4 * frame) // 16 % 4).astype(np.uint8)[None].repeat(SIZE[1], axis=0)


def taken(plan: ResizePlan, values: NDArray[np.intp]) -> NDArray[np.intp]:
    """Where labels come from: numbers of more than a byte go through the same window byte by byte."""
    low, high = (plan.apply_nearest((values >> shift).astype(np.uint8)).astype(np.intp) for shift in (0, 8))
    return low + (high << 8)


def write_masks(
    folder: Path,
    changed: Mapping[str, bytes | None] | None = None,
    suffix: str = "_2d-instance-filt.zip",
) -> Path:
    """The scene's archive; ``changed`` replaces members by name, or leaves them out."""
    path = folder / f"{folder.name}{suffix}"
    inner = suffix.removeprefix("_2d-").removesuffix(".zip")
    members: dict[str, bytes | None] = {f"{inner}/{frame}.png": png(mask_of(frame)) for frame in range(FRAMES)}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in {**members, **(changed or {})}.items():
            if data is not None:
                archive.writestr(name, data)
    return path


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = write_scene(tmp_path / "scans" / "scene0000_00", frames=FRAMES)
    write_masks(folder)
    return folder


@pytest.mark.parametrize("turn", [90, 180, 270])
def test_masks_are_turned_with_the_scan(scene: Path, turn: Turn) -> None:
    with ScanNetScan(scene) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        captured = ProjectedInstances(scan, annotation, SIZE)
        turned = TurnedScan(scan, turn)
        camera = turned.color_intrinsics
        masks = ProjectedInstances(turned, annotation, (camera.width, camera.height))
        depth = np.zeros(SIZE[::-1], np.float32)
        expected = turn_image(captured.render(3, COLOR, np.eye(4), depth), turn)
        assert len(np.unique(expected)) > 2
        np.testing.assert_array_equal(masks.render(3, camera, np.eye(4), depth), expected)


@pytest.mark.parametrize("suffix", ["_2d-instance-filt.zip", "_2d-instance.zip"])
def test_masks_are_read_from_either_archive_and_cut_as_colour_is(tmp_path: Path, suffix: str) -> None:
    folder = write_scene(tmp_path / "scene0000_00", frames=FRAMES)
    write_masks(folder, suffix=suffix)
    with ScanNetScan(folder) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        masks = ProjectedInstances(scan, annotation, SIZE)
        for frame in (3, 0):
            found = masks.render(frame, COLOR, np.eye(4), np.zeros(SIZE[::-1], np.float32))
            assert found.dtype == np.uint16
            np.testing.assert_array_equal(found, mask_of(frame))
        assert masks.notes == {}


@given(
    st.tuples(st.integers(40, 300), st.integers(40, 300)),
    st.sampled_from([(32, 32), (64, 48), (96, 64), (256, 192), (48, 96)]),
)
def test_labels_and_colour_show_the_same_part_of_the_frame(native: tuple[int, int], size: tuple[int, int]) -> None:
    camera = Intrinsics(fx=100.0, fy=100.0, cx=0.0, cy=0.0, width=native[0], height=native[1])
    plan = plan_resize(camera, size)
    columns = np.arange(native[0])[None].repeat(native[1], axis=0)
    rows = np.arange(native[1])[:, None].repeat(native[0], axis=1)
    # A stored pixel (u, v) lies at (u - cx) / fx of the same ray as the native pixel that it takes its label from.
    u, v = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    exact_u = (u - plan.camera.cx) / plan.camera.fx * camera.fx + camera.cx
    exact_v = (v - plan.camera.cy) / plan.camera.fy * camera.fy + camera.cy
    # Where the side is no multiple of the decoder's reduction, the last pixel reaches beyond the native image.
    assert np.abs(taken(plan, columns) - np.minimum(exact_u, native[0] - 1)).max() <= 0.5 + 1e-9
    assert np.abs(taken(plan, rows) - np.minimum(exact_v, native[1] - 1)).max() <= 0.5 + 1e-9


def test_ids_that_the_annotation_lacks_are_none_and_noted_and_duplicates_are_their_originals(scene: Path) -> None:
    path = scene / f"{scene.name}.aggregation.json"
    content = json.loads(path.read_text())
    content["segGroups"].append({**content["segGroups"][1], "id": 9, "objectId": 9})
    path.write_text(json.dumps(content))
    image = mask_of(0)
    image[:4], image[4:8] = 10, 77  # objects 9, a copy of 1, and 76, which is nowhere
    write_masks(scene, {"instance-filt/0.png": png(image)})
    with ScanNetScan(scene) as scan:
        annotation = scan.annotation()
        assert annotation is not None
        assert annotation.notes == {"duplicated_object": 1}
        assert [item.object_id for item in annotation.objects] == [0, 1, 2]
        masks = ProjectedInstances(scan, annotation, SIZE)
        found = masks.render(0, COLOR, np.eye(4), np.zeros(SIZE[::-1], np.float32))
    assert (found[:4] == 2).all()
    assert (found[4:8] == 0).all()
    assert masks.notes == {"frame_with_unknown_object": 1}


def encrypted(path: Path) -> None:
    data = bytearray(path.read_bytes())
    for signature, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        position = data.find(signature)
        while position >= 0:
            data[position + at] |= 1
            position = data.find(signature, position + 4)
    path.write_bytes(data)


def truncated(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def damaged(path: Path) -> None:
    data = bytearray(path.read_bytes())
    start = data.find(b"instance-filt/3.png") + len(b"instance-filt/3.png")
    data[start + 20 : start + 30] = bytes(10)
    path.write_bytes(data)


def lying(path: Path) -> None:
    """The directory claims a terabyte, as a bomb's may."""
    data = bytearray(path.read_bytes())
    at = data.rfind(b"instance-filt/3.png") - 46
    data[at + 24 : at + 28] = struct.pack("<I", 0xFFFFFFF0)
    path.write_bytes(data)


DAMAGE = {
    "missing": ({"instance-filt/3.png": None}, None, "has no 3.png among its 7 masks"),
    "wrong size": (
        {"instance-filt/3.png": png(np.zeros((9, 7), np.uint8))},
        None,
        "3.png is 7x9, but the scan's colour images",
    ),
    "16 bits": ({"instance-filt/3.png": png(np.zeros(SIZE[::-1], np.uint16))}, None, "has 16 bits and colour type 0"),
    "no image": ({"instance-filt/3.png": b"hello"}, None, "3.png is not a complete PNG"),
    "cut image": ({"instance-filt/3.png": png(mask_of(3))[:-20]}, None, "3.png is not a complete PNG"),
    "bomb": (
        {"instance-filt/3.png": bytes(10 << 20)},
        None,
        "has 10485760 bytes unpacked, but a mask of 128x96 has at most 90112",
    ),
    "lying bomb": ({}, lying, "has 4294967280 bytes unpacked"),
    "encrypted": ({}, encrypted, "3.png is encrypted"),
    "damaged": ({}, damaged, "3.png cannot be read"),
}


@pytest.mark.parametrize(("changed", "spoil", "message"), DAMAGE.values(), ids=DAMAGE.keys())
def test_a_bad_mask_names_file_scene_and_frame(scene: Path, changed, spoil, message: str) -> None:  # type: ignore[no-untyped-def]
    path = write_masks(scene, changed)
    if spoil is not None:
        spoil(path)
    with ScanNetScan(scene) as scan:
        archive = scan.mask_archive()
        with pytest.raises(SourceError, match=message) as caught:
            archive.mask(3, SIZE)
    assert (caught.value.path, caught.value.scene, caught.value.frame) == (str(path), "scene0000_00", 3)
    assert caught.value.cure


@pytest.mark.parametrize("name", ["../evil.png", "instance-filt/../../9.png", "/etc/9.png", "instance-filt\\9.png"])
def test_an_archive_with_an_unsafe_name_is_refused(scene: Path, name: str) -> None:
    path = write_masks(scene, {name: b""})
    with ScanNetScan(scene) as scan, pytest.raises(SourceError, match="has a member of the unsafe name") as caught:
        scan.mask_archive()
    assert (caught.value.path, caught.value.scene) == (str(path), "scene0000_00")


def test_a_truncated_archive_is_refused_when_it_is_opened(scene: Path) -> None:
    truncated(scene / f"{scene.name}_2d-instance-filt.zip")
    with ScanNetScan(scene) as scan, pytest.raises(SourceError, match="is not a readable zip"):
        scan.mask_archive()


@given(st.binary(max_size=300))
def test_no_bytes_are_taken_for_an_archive(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.zip"
    path.write_bytes(data)
    if zipfile.is_zipfile(io.BytesIO(data)):
        return
    with pytest.raises(SourceError, match="is not a readable zip"):
        MaskArchive(path, "any")


def test_the_digest_covers_the_archive_only_where_it_is_used(scene: Path) -> None:
    def digests() -> tuple[str, str]:
        with ScanNetScan(scene) as scan:
            return scan.digest(), scan.digest(masks=True)

    first = digests()
    write_masks(scene, {"instance-filt/5.png": png(mask_of(6))})
    second = digests()
    (scene / f"{scene.name}_2d-instance-filt.zip").unlink()
    third = digests()
    assert first[0] == second[0] == third[0]
    assert len({first[1], second[1], third[1], first[0]}) == 4


def build_projected(root: Path, out: Path) -> dict[str, Any]:
    """The commit record of the one shard."""
    recipe = read_recipe(None, [*SETTINGS, "instances.route=projected"])
    run_build(dataclasses.replace(request_for(root, out), recipe=recipe), InlineExecutor())
    commit: dict[str, Any] = json.loads((out / "shard-000000.json").read_text())
    return commit


def test_a_build_stores_the_projections_and_counts_their_pixels(scene: Path, tmp_path: Path) -> None:
    commit = build_projected(scene.parent.parent, tmp_path / "out")
    assert commit["scenes"][0]["quarantined"] == []
    reader = ShardReader(tmp_path / "out")
    assert len(reader) == len(commit["records"]) > 0
    for record in reader:
        for position, frame in enumerate(record.frame_ids):
            np.testing.assert_array_equal(record.instances(position), mask_of(frame))
            for item in record.objects:
                assert item.visible_pixels[position] == (mask_of(frame) == item.object_id + 1).sum()
        assert [item.object_id for item in record.objects] == [0, 1, 2]


def test_a_scan_without_an_archive_says_what_to_do(tmp_path: Path) -> None:
    folder = write_scene(tmp_path / "scans" / "scene0000_00", frames=FRAMES)
    (lost,) = build_projected(folder.parent.parent, tmp_path / "out")["scenes"][0]["quarantined"]
    assert lost["problem"] == "has no scene0000_00_2d-instance-filt.zip"
    assert lost["cure"] == 'download it, or render the masks: instances.route = "rendered"'


def test_a_recipe_knows_two_routes() -> None:
    with pytest.raises(UsageError, match=r"instances\.route .guessed. is unknown; choose from rendered, projected"):
        read_recipe(None, ["instances.route=guessed"])


def test_a_store_serves_masks_as_a_disk_does_a_few_requests_a_frame(scene: Path) -> None:
    with s3_server() as store:
        remote = ScanNetDataset.open(store.copy_in(scene.parent.parent, "scannet"))
        with remote.open_scan(scene.name) as scan, ScanNetScan(scene) as local:
            assert scan.digest(masks=True) == local.digest(masks=True)
            archive = scan.mask_archive()
            store.requests.clear()
            np.testing.assert_array_equal(archive.mask(5, SIZE), mask_of(5))
            assert len(store.requests) <= 3


def test_both_routes_agree_on_a_synthetic_scan(tmp_path: Path) -> None:
    """The projections are the generator's own ids at colour resolution. The mesh route differs at borders, where depth
    is registered, and where an annotator missed a segment of an object.
    """
    options = SynthesisOptions(
        scenes=1, frames=2, color_size=(648, 484), depth_size=(320, 240), noise=0.0, lost_tracking=0.0, seed=3
    )
    synthesise_dataset(tmp_path, options, workers=1)
    size = (512, 384)
    shares = []
    with ScanNetDataset.open(tmp_path).open_scan("scene0000_00") as scan:
        annotation = scan.annotation()
        assert annotation is not None
        camera = plan_resize(scan.color_intrinsics, size).camera
        routes = (InstanceRenderer(annotation, 0.1, 0.05), ProjectedInstances(scan, annotation, size))
        for frame in (0, 1):
            metres = scan.depth(frame).astype(np.float32) / np.float32(1000)
            depth = register_depth(metres, scan.depth_intrinsics, camera, scan.depth_to_color)
            one, other = (route.render(frame, camera, scan.camera_to_world[frame], depth) for route in routes)
            for value in np.unique(one[one > 0]):
                pixels = max((one == value).sum(), (other == value).sum())
                if pixels >= 500:
                    both = ((one == value) & (other == value)).sum()
                    shares.append(both / ((one == value) | (other == value)).sum())
    assert len(shares) > 10
    assert np.mean(shares) > 0.95
    assert min(shares) > 0.8
