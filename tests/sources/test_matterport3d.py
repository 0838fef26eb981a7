"""Matterport3D by regions: raw images through a lens for each camera, undistorted ones, zips, and their regions."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.errors import FileError, SourceError, UsageError
from gapdata.sources.base import Scan
from gapdata.sources.matterport3d.cameras import TripodStill, parse_camera, parse_list
from gapdata.sources.matterport3d.dataset import MatterportDataset, open_folder
from gapdata.sources.matterport3d.regions import tripods_by_region
from gapdata.sources.registry import open_dataset, open_found
from gapdata.synthetic.formats import matterport3d
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.fused_clouds import compactness, depth_off_mesh

FRAMES = 54
INFOS = "embodiedscan_infos_train.pkl"
RAW = "1280 1024 1076.45 1077.19 631.116 513.798"
LISTED = "1076.45 0 631.116 0 1077.19 509.202 0 0 1"
"""The camera of one real image, as its raw file and the list of undistorted images have it; quoted in public code."""
POSE = (
    "0.90525 0.275848 0.323155 -2.99825 0.42464 -0.612795 -0.666455 -14.4532"
    " 0.0141878 0.740533 -0.67187 1.33124 0 0 0 1"
)
TRIPOD = "03a8325e3b054e3fad7e1e7091f9d283"


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [Walk(index, WalkOptions(frames=FRAMES, width=96)) for index in range(3)]


@pytest.fixture(scope="module")
def download(walks: list[Walk], tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("matterport") / "matterport3d"
    root.mkdir()
    matterport3d.write(root, walks)
    return root


@pytest.fixture(scope="module")
def houses(walks: list[Walk]) -> dict[str, str]:
    """The house that is stored in each way."""
    return {way: matterport3d.house_name(walk) for way, walk in zip(matterport3d.STORAGE, walks, strict=True)}


@pytest.fixture
def copy(download: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(download, tmp_path / "above" / "matterport3d"))


def opened(root: Path, house: str, region: int = matterport3d.REGION) -> Scan:
    return open_dataset(matterport3d=root).open_scan(f"{house}_region{region}")


def test_a_real_camera_reads_the_same_from_both_files() -> None:
    raw, lens = parse_camera(f"{RAW} 0 0 0 0 0".encode())
    text = (
        f"dataset matterport\nn_images 1\nintrinsics_matrix {LISTED}\nscan {TRIPOD}_d0_0.png {TRIPOD}_i0_0.jpg {POSE}"
    )
    listed = parse_list(text.encode(), (1280, 1024))[TripodStill(TRIPOD, 0, 0)]
    assert lens is None
    assert raw == listed.camera
    pose = listed.camera_to_world
    np.testing.assert_allclose(pose[:3, :3] @ pose[:3, :3].T, np.eye(3), atol=1e-5)
    assert pose[2, 2] > 0.6  # camera 0 looks up
    assert pose[2, 1] < -0.7  # and its rows go down


def test_the_stills_are_those_that_plain_code_finds(download: Path, houses: dict[str, str], walks: list[Walk]) -> None:
    house = houses["folders"]
    with opened(download, house) as scan:
        folder = download / house
        assert [int(frame) for frame in np.flatnonzero(scan.present)] == [
            30 * frame for frame in range(36) if frame != matterport3d.WITHOUT_DEPTH
        ]
        for frame in (0, 7, 35):
            stem, kind, turn = f"{matterport3d.tripod(walks[0], frame // 18)}", frame % 3, frame % 18 // 3
            depth = cv2.imread(str(folder / "matterport_depth_images" / f"{stem}_d{kind}_{turn}.png"), -1)
            np.testing.assert_array_equal(scan.depth(30 * frame), depth)
            color = cv2.imread(str(folder / "matterport_color_images" / f"{stem}_i{kind}_{turn}.jpg"))
            np.testing.assert_array_equal(scan.color(30 * frame)[..., ::-1], color)
            pose = np.loadtxt(folder / "matterport_camera_poses" / f"{stem}_pose_{kind}_{turn}.txt")
            np.testing.assert_array_equal(scan.camera_to_world[30 * frame], pose)
            numbers = np.loadtxt(folder / "matterport_camera_intrinsics" / f"{stem}_intrinsics_{kind}.txt")
            camera, lens = scan.color_camera(30 * frame), scan.lenses(30 * frame)[0]
            assert [camera.fx, camera.fy, camera.cx, camera.cy] == numbers[2:6].tolist()
            assert (lens is None) == (not numbers[6:].any())
            assert lens is None or lens.coefficients == tuple(numbers[6:])
        assert scan.depth_units_per_metre == 4000
        assert scan.notes == {"still_without_depth": 1}
        assert not np.isfinite(scan.camera_to_world[30 * matterport3d.LOST]).any()


@pytest.mark.parametrize("way", matterport3d.STORAGE)
def test_poses_make_the_cloud_compact_and_depth_lies_on_the_mesh(
    download: Path, houses: dict[str, str], walks: list[Walk], way: str
) -> None:
    walk = walks[matterport3d.STORAGE.index(way)]
    with opened(download, houses[way]) as scan:
        straight = [30 * frame for frame in range(2, 36, 3) if frame != matterport3d.LOST]  # their camera has no lens
        voxels = compactness(scan, straight)
        best = voxels.pop("camera_to_world opencv")
        assert best < 0.8 * min(voxels.values()), (best, voxels)
        mesh = walk.scene.mesh
        assert max(depth_off_mesh(scan, straight, mesh.vertices, mesh.faces)) < 0.03


def test_each_way_of_storing_gives_regions_and_images(download: Path, houses: dict[str, str]) -> None:
    dataset = open_dataset(matterport3d=download)
    facts = dataset.describe()
    assert (facts["houses"], facts["scenes"], facts["images"]) == (3, 6, 3 * FRAMES)
    assert facts["source_kinds"] == {"matterport": 4, "undistorted": 2}
    for house in houses.values():
        assert (
            dataset.places(f"{house}_region3") == dataset.places(f"{house}_region5") == (f"matterport3d house {house}",)
        )
    with dataset.open_scan(f"{houses['zips']}_region5") as scan:
        assert scan.describe()["frames"]["frames"] == 18
        assert scan.depth(0).any()


def test_the_labelled_mesh_of_a_region_is_optional(download: Path, houses: dict[str, str], walks: list[Walk]) -> None:
    dataset = open_dataset(matterport3d=download)
    for way, walk in zip(("folders", "zips"), walks, strict=False):
        assert dataset.annotated(f"{houses[way]}_region3")
        with dataset.open_scan(f"{houses[way]}_region3") as scan:
            annotation = scan.annotation()
        assert annotation is not None
        assert [item.label for item in annotation.objects] == list(walk.scene.labels)
        for item in annotation.objects:
            corners = walk.scene.mesh.faces[walk.scene.face_object == item.object_id]
            np.testing.assert_array_equal(item.vertices, np.unique(corners))
    with dataset.open_scan(f"{houses['undistorted']}_region3") as scan:
        assert scan.annotation() is None
    (_, line) = dataset.lacks(dataset.scene_ids, splits_given=False)
    assert f"1 house without region_segmentations: {houses['undistorted']}" in line
    assert dataset.labels("arm chair") == {"raw": "arm chair"} | (
        {"embodiedscan": "chair"} if "embodiedscan" in dataset.labels("arm chair") else {}
    )


def test_regions_come_from_the_houses_where_embodiedscan_is_silent(copy: Path, download: Path) -> None:
    expected = open_dataset(matterport3d=download)
    (copy / INFOS).unlink()
    found = open_dataset(matterport3d=copy)
    assert isinstance(expected, MatterportDataset)
    assert isinstance(found, MatterportDataset)
    assert found.stills == expected.stills


def test_embodiedscans_file_may_lie_above_or_be_named(copy: Path, tmp_path: Path) -> None:
    for path in copy.glob("*/house_segmentations*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    shutil.move(copy / INFOS, copy.parent / INFOS)
    assert len(open_dataset(matterport3d=copy).scene_ids) == 6
    shutil.move(copy.parent / INFOS, tmp_path / "boxes_train.pkl")
    with pytest.raises(UsageError, match=r"nothing says which images show which region.*house_segmentations"):
        open_dataset(matterport3d=copy)
    assert len(open_dataset(matterport3d=copy, annotations=[tmp_path / "boxes_train.pkl"]).scene_ids) == 6
    report = gapdata.build(
        out=tmp_path / "build",
        matterport3d=copy,
        annotations=[tmp_path / "boxes_train.pkl"],
        dry_run=True,
        announce=print,
        set={"annotations.splits": True, "objects.source": "embodiedscan"},
        executor="inline",
    )
    assert report["scenes"] == 6


def test_portals_are_not_tripods() -> None:
    other = "f" * 32
    lines = f"P 0 3 5 x 0 0 0\nP  {TRIPOD}  0 3 0  1 2 3  0\nP  {other}  1 -1 0  1 2 3  0\nI 0 0 {TRIPOD} 0 0\n"
    assert tripods_by_region(lines.encode()) == {3: [TRIPOD]}


def test_splits_are_those_of_houses(copy: Path, houses: dict[str, str]) -> None:
    (copy / "scenes_train.txt").write_text("\n".join(houses.values()))
    (copy / "scenes_test.txt").write_text(houses["zips"])
    dataset = open_dataset(matterport3d=copy)
    assert dataset.split(f"{houses['folders']}_region3") == "train"
    assert dataset.split(f"{houses['zips']}_region5") == "test"


def test_a_folder_without_houses_says_what_to_download(tmp_path: Path, download: Path) -> None:
    with pytest.raises(UsageError, match=r"download_mp\.py -o DIR --id HOUSE --type matterport_color_images"):
        open_folder(tmp_path)
    with pytest.raises(UsageError, match="is not a directory"):
        open_folder(tmp_path / "nothing")
    assert isinstance(open_found(download), MatterportDataset)


def first(folder: Path, pattern: str) -> Path:
    return sorted(folder.glob(pattern))[0]


@pytest.mark.parametrize(
    ("damage", "notes"),
    [
        (lambda house: first(house, "*poses/*").unlink(), {"still_without_pose": 1}),
        (lambda house: first(house, "*poses/*").write_text("1 2 three"), {"unreadable_pose": 1}),
        (lambda house: first(house, "*intrinsics/*").unlink(), {"still_without_camera": 6}),
        (lambda house: first(house, "*color_images/*").unlink(), {"still_without_color": 1}),
    ],
)
def test_a_damaged_still_is_counted_and_the_rest_goes_on(
    copy: Path, houses: dict[str, str], damage: Callable[[Path], None], notes: dict[str, int]
) -> None:
    damage(copy / houses["folders"])
    with opened(copy, houses["folders"]) as scan:
        found = dict(scan.notes)
        assert found.pop("still_without_depth") == 1
        assert found == notes
        assert scan.color(30 * 20).any()


def test_damaged_images_are_named_with_their_still(copy: Path, houses: dict[str, str]) -> None:
    folder = copy / houses["folders"]
    path = first(folder, "matterport_depth_images/*")
    path.write_bytes(path.read_bytes()[:100])
    with opened(copy, houses["folders"]) as scan, pytest.raises(SourceError, match="cut off") as caught:
        scan.depth(0)
    assert (caught.value.frame, caught.value.path) == (0, str(path))


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("region3.fsegs.json", '{"segIndices": [1, null]}', "segments that are not integers"),
        ("region3.fsegs.json", '{"segIndices": [1, 2]}', "has 2 segment indices for the"),
        ("region3.semseg.json", '{"segGroups": [{"id": 1, "label": "x", "segments": 1e400}]}', "not integers"),
        ("region3.semseg.json", "[]", "has no list segGroups"),
        ("region3.ply", "ply", "mesh cannot be read"),
    ],
)
def test_damaged_labels_are_one_error(
    copy: Path, houses: dict[str, str], name: str, content: str, problem: str
) -> None:
    path = copy / houses["folders"] / "region_segmentations" / name
    path.write_text(content)
    with opened(copy, houses["folders"]) as scan, pytest.raises(SourceError, match=problem) as caught:
        scan.annotation()
    assert caught.value.path == str(path)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def test_half_a_zip_is_one_error(copy: Path, houses: dict[str, str]) -> None:
    half(copy / houses["zips"] / "matterport_depth_images.zip")
    with pytest.raises(SourceError, match="without the directory at its end") as caught:
        opened(copy, houses["zips"])
    assert str(caught.value.path).endswith("matterport_depth_images.zip")


def test_impossible_cameras_and_sizes_are_errors(copy: Path, houses: dict[str, str]) -> None:
    path = first(copy / houses["folders"], "*intrinsics/*")
    numbers = path.read_text().split()
    path.write_text(" ".join(["48", "38.5", *numbers[2:]]))
    with pytest.raises(SourceError, match="impossible image size"):
        opened(copy, houses["folders"])
    path.write_text(" ".join(["192", "152", *numbers[2:]]))
    with pytest.raises(SourceError, match="but the first still is"):
        opened(copy, houses["folders"])
    conf = first(copy / houses["undistorted"], "undistorted_camera_parameters/*")
    conf.write_text(conf.read_text().replace("intrinsics_matrix", "no_matrix"))
    with pytest.raises(SourceError, match="line 7 is an image before any intrinsics_matrix"):
        opened(copy, houses["undistorted"])


def test_a_damaged_file_of_embodiedscan_is_an_error(copy: Path) -> None:
    half(copy / INFOS)
    with pytest.raises(FileError, match=INFOS):
        open_dataset(matterport3d=copy)


def test_the_digest_changes_with_poses_images_and_labels(copy: Path, houses: dict[str, str]) -> None:
    def digest(way: str) -> str:
        with opened(copy, houses[way]) as scan:
            return scan.digest()

    before = {way: digest(way) for way in houses}
    assert before == {way: digest(way) for way in houses}
    folder = copy / houses["folders"]
    for path in (first(folder, "*poses/*"), first(folder, "*color_images/*"), first(folder, "region_*/*.semseg.json")):
        path.write_bytes(path.read_bytes() + b" ")
        assert digest("folders") != before["folders"]
        before["folders"] = digest("folders")
    with zipfile.ZipFile(copy / houses["zips"] / "matterport_color_images.zip", "a") as archive:
        archive.writestr("x/matterport_color_images/more.txt", b"1")
    assert digest("zips") != before["zips"]
