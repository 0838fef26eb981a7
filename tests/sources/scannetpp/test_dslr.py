"""The DSLR's stills: a fisheye, axes of the toolkit's own, and depth that is cast from the mesh."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from gapdata.errors import MissingInput, SourceError
from gapdata.sources.base import Scan
from gapdata.sources.registry import open_dataset
from gapdata.sources.scannetpp.dslr import in_mesh_world, parse_transforms
from tests.support.scannetpp_scenes import SCENE, camera_at, write_mesh

WIDTH, HEIGHT = 120, 80
CAMERA = {
    **{"fl_x": 80.0, "fl_y": 81.0, "cx": 60.0, "cy": 40.0, "w": WIDTH, "h": HEIGHT, "camera_model": "OPENCV_FISHEYE"},
    **{"k1": -0.03, "k2": -0.01, "k3": 0.002, "k4": 0.0},
}
NAMES = ("DSC00009.JPG", "DSC00010.JPG", "DSC00100.JPG", "DSC00200.JPG")


def to_nerfstudio(pose: np.ndarray) -> list[list[float]]:
    """The three steps of the format's description, undone one after the other."""
    matrix = pose.copy()
    matrix[:, 1] *= -1
    matrix[:, 2] *= -1
    matrix = matrix[[1, 0, 2, 3]]
    matrix[2] *= -1
    return [[float(value) for value in row] for row in matrix]


def frame_entry(place: int, name: str, **more: Any) -> dict[str, Any]:
    mask = name.replace(".JPG", ".png")
    pose = to_nerfstudio(camera_at(10 * place))
    return {"file_path": name, "mask_path": mask, "is_bad": False, "transform_matrix": pose, **more}


def write_transforms(folder: Path, change: Callable[[dict[str, Any]], object] = lambda content: None) -> None:
    entries = [frame_entry(place, name) for place, name in enumerate(NAMES)]
    content: dict[str, Any] = {**CAMERA, "frames": [entries[2], entries[0], entries[3]], "test_frames": [entries[1]]}
    change(content)
    (folder / "nerfstudio" / "transforms.json").write_text(json.dumps(content))


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    folder = tmp_path / "data" / SCENE
    write_mesh(folder / "scans")
    for name in ("resized_images", "resized_anon_masks", "nerfstudio"):
        (folder / "dslr" / name).mkdir(parents=True)
    for place, name in enumerate(NAMES):
        image = np.full((HEIGHT, WIDTH, 3), 40 * place + 40, dtype=np.uint8)
        cv2.imwrite(str(folder / "dslr" / "resized_images" / name), image)
    mask = np.full((HEIGHT, WIDTH), 255, dtype=np.uint8)
    mask[:20, :30] = 0
    mask[40, 50] = 254
    cv2.imwrite(str(folder / "dslr" / "resized_anon_masks" / "DSC00010.png"), mask)
    write_transforms(folder / "dslr")
    return folder


def opened(scene: Path, camera: str = "auto") -> Scan:
    return open_dataset(scannetpp=scene.parent.parent, scannetpp_camera=camera).open_scan(SCENE)


def test_stills_are_a_second_apart_in_the_order_of_their_names(scene: Path) -> None:
    with opened(scene) as scan:
        assert np.flatnonzero(scan.present).tolist() == [0, 30, 60, 90]
        for place in range(4):
            assert np.allclose(scan.camera_to_world[30 * place], camera_at(10 * place))
            assert abs(int(scan.color(30 * place)[0, 0, 0]) - (40 * place + 40)) < 3
        assert scan.color_lens is not None
        assert scan.color_lens.model == "fisheye"
        assert scan.color_lens.coefficients == (-0.03, -0.01, 0.002, 0.0)
        assert (scan.color_intrinsics.fx, scan.color_intrinsics.cx, scan.color_intrinsics.cy) == (80.0, 59.5, 39.5)
        assert scan.notes == {"depth_cast_from_mesh": 4}
        assert not scan.in_order
        with pytest.raises(SourceError, match="frame 31: is not among the frames of the scan"):
            scan.color(31)


def test_depth_is_that_of_the_mesh(scene: Path) -> None:
    """A wall at y = 2 m, from x = -3 to 3 and z = -3 to 3, seen along y."""
    with opened(scene) as scan:
        depth = scan.depth(60)
        assert depth.shape == (scan.depth_intrinsics.height, scan.depth_intrinsics.width)
        assert (depth == 2000).all()
        assert scan.depth_lens is None
    ply = scene / "scans" / "mesh_aligned_0.05.ply"
    ply.write_text(ply.read_text().replace("\n3 2 ", "\n0 2 "))
    with opened(scene) as scan:
        depth = scan.depth(0)
        assert set(np.unique(depth)) == {0, 2000}, "holes of the mesh have no depth"


def test_a_bad_image_and_a_missing_one_leave_their_places_empty(scene: Path) -> None:
    write_transforms(scene / "dslr", lambda content: content["frames"][1].update(is_bad=True))
    (scene / "dslr" / "resized_images" / NAMES[2]).unlink()
    with opened(scene) as scan:
        assert np.flatnonzero(scan.present).tolist() == [30, 90]
        assert scan.notes == {"bad_image": 1, "frame_without_image": 1, "depth_cast_from_mesh": 2}


def test_anonymised_pixels_are_masked(scene: Path) -> None:
    with opened(scene) as scan:
        mask = scan.color_mask(30)
        assert mask is not None
        assert not mask[:20, :30].any()
        assert mask[40, 50] == 0
        assert (mask == 255).sum() == HEIGHT * WIDTH - 20 * 30 - 1
        assert scan.color_mask(0) is None


def test_undistorted_images_are_read_where_the_fisheyes_are_not_there(scene: Path) -> None:
    dslr = scene / "dslr"
    (dslr / "resized_images").rename(dslr / "resized_undistorted_images")
    content = json.loads((dslr / "nerfstudio" / "transforms.json").read_text())
    content.update(camera_model="PINHOLE", k1=0.0, k2=0.0, k3=0.0, k4=0.0)
    (dslr / "nerfstudio" / "transforms_undistorted.json").write_text(json.dumps(content))
    with opened(scene) as scan:
        assert scan.color_lens is None
        assert (scan.depth(0) == 2000).all()
        assert (scan.depth_intrinsics.width, scan.depth_intrinsics.height) == (WIDTH, HEIGHT)


def test_the_toolkits_axes_are_undone_exactly() -> None:
    rng = np.random.default_rng(0)
    pose = np.eye(4)
    pose[:3, :3] = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    pose[:3, 3] = rng.normal(size=3)
    assert np.array_equal(in_mesh_world(np.array(to_nerfstudio(pose))), pose)
    assert np.linalg.det(in_mesh_world(np.eye(4))[:3, :3]) == pytest.approx(1)


def test_without_mesh_transforms_or_images_the_download_is_named(scene: Path) -> None:
    (scene / "scans" / "mesh_aligned_0.05.ply").rename(scene / "mesh.ply")
    with pytest.raises(MissingInput, match="no mesh, from which the depth of DSLR images is cast; download scan_mesh"):
        opened(scene)
    (scene / "mesh.ply").rename(scene / "scans" / "mesh_aligned_0.05.ply")
    for name in NAMES:
        (scene / "dslr" / "resized_images" / name).unlink()
    with pytest.raises(SourceError, match=r"has none of the 4 images that its transforms list, such as DSC00009\.JPG"):
        opened(scene)
    shutil.rmtree(scene / "dslr" / "nerfstudio")
    with pytest.raises(MissingInput, match=r"neither nerfstudio/transforms\.json with resized_images/ nor"):
        opened(scene)
    shutil.rmtree(scene / "dslr")
    with pytest.raises(MissingInput, match="dslr_nerfstudio_transform_path"):
        opened(scene, "dslr")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda content: content.update(frames=[], test_frames=None), "lists no image with a file_path"),
        (lambda content: content.pop("fl_x"), "has no number fl_x"),
        (lambda content: content.update(cx=1e9), "is not that of its images"),
        (lambda content: content.update(camera_model="EQUIRECTANGULAR"), "a lens that cannot be undone"),
        (lambda content: content.update(k1=-3.0), "its cameras have a lens (OPENCV_FISHEYE) that does not fit images"),
        (lambda content: content.update(k1="many"), "k1 is 'many', expected a number"),
    ],
)
def test_transforms_that_cannot_be_used_are_one_clear_error(
    change: Callable[[dict[str, Any]], object], message: str, scene: Path
) -> None:
    write_transforms(scene / "dslr", change)
    with pytest.raises(SourceError) as caught:
        opened(scene)
    assert message in str(caught.value)
    assert "transforms.json" in str(caught.value)


def test_an_entry_of_any_damage_keeps_the_sound_ones(scene: Path) -> None:
    def change(content: dict[str, Any]) -> None:
        content["frames"][0]["transform_matrix"] = [[1, 2], [3]]
        content["frames"] += [7, {"file_path": 5}, {"file_path": ""}]

    write_transforms(scene / "dslr", change)
    with opened(scene) as scan:
        assert np.flatnonzero(scan.present).tolist() == [0, 30, 60, 90]
        assert np.isnan(scan.camera_to_world[60]).all()
        with pytest.raises(SourceError, match="frame 60: has no pose, without which depth cannot be cast"):
            scan.depth(60)


def test_images_outside_of_their_folder_are_never_looked_for() -> None:
    content = {**CAMERA, "frames": [frame_entry(0, "../../../etc/passwd"), frame_entry(1, "images\\DSC1.JPG")]}
    stills = parse_transforms(json.dumps(content).encode())
    assert [still.name for still in stills.images] == ["DSC1.JPG", "passwd"]


def test_an_image_of_another_size_is_an_error_of_its_frame(scene: Path) -> None:
    cv2.imwrite(str(scene / "dslr" / "resized_images" / NAMES[1]), np.zeros((40, 60, 3), dtype=np.uint8))
    with opened(scene) as scan:
        with pytest.raises(SourceError, match="frame 30: is 60x40, but its transforms state 120x80"):
            scan.color(30)
        assert scan.color(0).shape == (HEIGHT, WIDTH, 3)
        before = scan.digest()
    (scene / "dslr" / "resized_images" / NAMES[1]).unlink()
    with opened(scene) as scan:
        assert scan.digest() != before
