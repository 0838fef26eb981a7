"""3RScan: sideways frames in a zip or a folder, squeezed depth, labels of a mesh, and places scanned again."""

from __future__ import annotations

import json
import re
import shutil
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from gapdata.errors import GapDataError, SourceError, UsageError
from gapdata.geometry.camera import is_rigid
from gapdata.geometry.upright import find_turn
from gapdata.sources.base import Scan
from gapdata.sources.registry import open_dataset, open_found
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.threerscan.dataset import ThreeRScanDataset
from gapdata.synthetic.formats import threerscan
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.fused_clouds import compactness, depth_off_mesh

FRAMES = 60
OPTIONS = WalkOptions(frames=FRAMES, width=192)
SPREAD = [frame for frame in range(0, FRAMES, 4) if frame not in (threerscan.LOST, threerscan.WITHOUT_POSE)]


@pytest.fixture(scope="module")
def walk() -> Walk:
    return Walk(0, OPTIONS)


@pytest.fixture(scope="module")
def download(walk: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("3rscan")
    threerscan.write(root, [walk])
    return root


@pytest.fixture(scope="module")
def reference(walk: Walk) -> str:
    return threerscan.scan_id(walk, "reference")


@pytest.fixture(scope="module")
def rescan(walk: Walk) -> str:
    return threerscan.scan_id(walk, "rescan")


@pytest.fixture
def copy(download: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(download, tmp_path / "download"))


def opened(root: Path, scan_id: str) -> Scan:
    return open_dataset(**{"3rscan": root}).open_scan(scan_id)


def rewritten(archive: Path, change: Callable[[str, bytes], bytes | None]) -> None:
    """Write a zip again, with members changed or left out."""
    with zipfile.ZipFile(archive) as old:
        members = {name: old.read(name) for name in old.namelist()}
    with zipfile.ZipFile(archive, "w") as new:
        for name, data in members.items():
            if (kept := change(name, data)) is not None:
                new.writestr(name, kept)


def test_the_frames_are_those_that_plain_code_finds_in_the_zip(download: Path, reference: str) -> None:
    """The second reading: the standard library and struct layouts, as the format's description has them."""
    with zipfile.ZipFile(download / reference / "sequence.zip") as archive, opened(download, reference) as scan:
        info = dict(line.split(" = ") for line in archive.read("_info.txt").decode().splitlines())
        numbers = np.array(info["m_calibrationDepthIntrinsic"].split(), dtype=float).reshape(4, 4)
        camera = scan.depth_camera(0)
        assert [camera.fx, camera.fy, camera.cx, camera.cy] == numbers[[0, 1, 0, 1], [0, 1, 2, 2]].tolist()
        assert camera.fx / camera.fy == pytest.approx(0.733, abs=0.03)
        for frame in (0, 23):
            data = archive.read(f"frame-{frame:06d}.depth.pgm")
            magic, width, height, levels = data[:40].split()[:4]
            pixels = data[-2 * int(width) * int(height) :]
            high_first = [256 * pixels[at] + pixels[at + 1] for at in range(0, len(pixels), 2)]
            assert (magic, levels) == (b"P5", b"65535")
            assert scan.depth(frame).ravel().tolist() == high_first
            assert scan.color_jpeg(frame) is not None
            pose = np.array(archive.read(f"frame-{frame:06d}.pose.txt").split(), dtype=float).reshape(4, 4)
            np.testing.assert_array_equal(scan.camera_to_world[frame], pose)


def test_one_way_of_reading_poses_makes_the_cloud_compact(download: Path, reference: str) -> None:
    with opened(download, reference) as scan:
        voxels = compactness(scan, SPREAD)
    best = voxels.pop("camera_to_world opencv")
    assert best < 0.8 * min(voxels.values()), (best, voxels)


def test_depth_lies_on_the_labelled_mesh(download: Path, reference: str, rescan: str) -> None:
    for scan_id in (reference, rescan):
        with opened(download, scan_id) as scan:
            annotation = scan.annotation()
            assert annotation is not None
            frames = [0, 4, 12, 20]
            assert max(depth_off_mesh(scan, frames, annotation.vertices, annotation.faces)) < 0.03
            scan.depth_intrinsics = replace(scan.depth_intrinsics, fy=scan.depth_intrinsics.fx)  # not squeezed
            assert max(depth_off_mesh(scan, frames, annotation.vertices, annotation.faces)) > 0.03


def test_images_lie_on_their_side_in_a_world_with_z_up(download: Path, reference: str) -> None:
    with opened(download, reference) as scan:
        assert scan.world_up is not None
        assert find_turn(scan.camera_to_world, scan.world_up) == 90
        np.testing.assert_array_equal(scan.axis_alignment, np.eye(4))
        assert scan.color(0).shape[0] < scan.color(0).shape[1]


def test_lost_tracking_stays_a_hole(download: Path, reference: str) -> None:
    with opened(download, reference) as scan:
        assert not is_rigid(scan.camera_to_world[threerscan.LOST])
        assert scan.present[threerscan.LOST]
        assert not scan.present[threerscan.WITHOUT_POSE]
        assert scan.notes == {"frame_without_pose": 1}


def test_objects_are_those_of_the_room_without_leftovers(download: Path, reference: str, walk: Walk) -> None:
    with opened(download, reference) as scan:
        annotation = scan.annotation()
    assert annotation is not None
    assert annotation.notes == {"leftover_of_reconstruction": 1}
    assert [(item.object_id, item.label) for item in annotation.objects] == [
        (number, label) for number, label in enumerate(walk.scene.labels, start=1)
    ]
    for item in annotation.objects:
        np.testing.assert_array_equal(item.vertices, np.flatnonzero(walk.scene.vertex_object == item.object_id - 1))
    np.testing.assert_allclose(annotation.vertices[:-3], walk.scene.mesh.vertices, atol=1e-5)


def test_segments_say_what_the_labelled_mesh_says(copy: Path, reference: str) -> None:
    folder = copy / reference
    with opened(copy, reference) as scan:
        expected = scan.annotation()
    assert expected is not None
    lines = (folder / "labels.instances.annotated.v2.ply").read_text().split("end_header\n")[1].splitlines()
    rows = [line.split() for line in lines]
    vertices, faces = rows[: len(expected.vertices)], rows[len(expected.vertices) :]
    obj = [f"v {x} {y} {z}" for x, y, z, *_ in vertices]
    obj += [f"f {int(a) + 1}/1 {int(b) + 1}/2 {int(c) + 1}/3" for _, a, b, c in faces]
    (folder / "mesh.refined.v2.obj").write_text("mtllib mesh.refined.mtl\n" + "\n".join(obj))
    segments = {"segIndices": [int(row[6]) for row in vertices]}
    (folder / "mesh.refined.0.010000.segs.v2.json").write_text(json.dumps(segments))
    (folder / "labels.instances.annotated.v2.ply").unlink()
    with opened(copy, reference) as scan:
        found = scan.annotation()
    assert found is not None
    assert found.notes["labels_from_segments"] == 1
    np.testing.assert_array_equal(found.faces, expected.faces)
    for one, other in zip(found.objects, expected.objects, strict=True):
        assert (one.object_id, one.label) == (other.object_id, other.label)
        np.testing.assert_array_equal(one.vertices, other.vertices)


def test_a_rescan_shows_the_same_place_and_says_how_its_world_lies(download: Path, reference: str, rescan: str) -> None:
    dataset = open_dataset(**{"3rscan": download})
    assert (dataset.kind(reference), dataset.kind(rescan)) == ("sequence.zip", "sequence")
    assert dataset.places(reference) == dataset.places(rescan) == (f"3rscan place {reference}",)
    assert {dataset.split(scan) for scan in (reference, rescan)} == {"train"}
    with dataset.open_scan(reference) as first, dataset.open_scan(rescan) as later:
        facts = later.describe()
        assert facts["rescan_of"] == reference
        matrix = np.array(facts["world_to_reference"])
        assert matrix[3].tolist() == [0, 0, 0, 1]  # the file has it column by column
        for frame in (0, 5, 23):
            np.testing.assert_allclose(matrix @ later.camera_to_world[frame], first.camera_to_world[frame], atol=1e-5)
            np.testing.assert_array_equal(first.depth(frame), later.depth(frame))
            np.testing.assert_array_equal(first.color(frame), later.color(frame))
        assert "rescan_of" not in first.describe()


def test_splits_of_references_count_for_rescans(copy: Path, reference: str, rescan: str) -> None:
    places = json.loads((copy / "3RScan.json").read_text())
    places[0]["type"] = "nothing known"
    (copy / "3RScan.json").write_text(json.dumps(places))
    dataset = open_dataset(**{"3rscan": copy})
    assert dataset.split(rescan) == dataset.split(reference) == "train"
    (copy / "splits" / "test.txt").write_text(reference)
    dataset = open_dataset(**{"3rscan": copy})
    assert dataset.split(rescan) == "test"
    assert dataset.in_two_splits == dict.fromkeys((reference, rescan), ("train", "test"))
    assert f"{reference} (train, test)" in dataset.lacks([reference], splits_given=False)[0]


def test_the_real_split_lists_name_references(samples: Path, tmp_path: Path) -> None:
    lists = samples / "samples" / "3rscan"
    counts = {}
    for name in ("train", "val", "test"):
        ids = re.findall(r"[0-9a-f-]{36}", (lists / f"{name}.txt").read_text())
        shutil.copy(lists / f"{name}.txt", tmp_path)
        for scan_id in ids:
            (tmp_path / scan_id).mkdir()
        counts[name] = len(ids)
    assert counts == {"train": 385, "val": 47, "test": 46}
    dataset = open_dataset(**{"3rscan": tmp_path})
    assert dataset.describe()["splits"] == counts
    assert dataset.describe()["places"] == 478


def test_the_cameras_of_two_real_devices_are_taken_as_they_are(samples: Path, copy: Path, reference: str) -> None:
    text = (samples / "samples" / "3rscan" / "info_two_devices.txt").read_text()
    for device in text.split("m_sensorName")[1:]:
        found = dict(re.findall(r"(m_calibration\w+) = ([^\n]*)", device))
        color, depth = (
            np.array(found[f"m_calibration{camera}Intrinsic"].split(), dtype=float) for camera in ("Color", "Depth")
        )
        assert depth[[0, 5]] == pytest.approx(color[[0, 5]] * [224 / 960, 172 / 540], rel=1e-4)
        assert depth[[2, 6]] == pytest.approx(color[[2, 6]] * [223 / 959, 171 / 539], rel=1e-4)


@pytest.mark.parametrize("missing", ["semseg.v2.json", "labels.instances.annotated.v2.ply"])
def test_missing_labels_leave_a_scan_unlabelled_and_are_named(copy: Path, reference: str, missing: str) -> None:
    (copy / reference / missing).unlink()
    dataset = open_dataset(**{"3rscan": copy})
    with dataset.open_scan(reference) as scan:
        assert scan.annotation() is None
    assert not dataset.annotated(reference)
    (line,) = dataset.lacks(dataset.scene_ids, splits_given=True)
    assert line.startswith(f"note: 1 scan without labels: {reference}")
    assert line.endswith(f"python download.py -o DIR --id ID --type {missing}")


def test_a_scan_without_frames_says_what_to_download(copy: Path, reference: str) -> None:
    (copy / reference / "sequence.zip").unlink()
    dataset = open_dataset(**{"3rscan": copy})
    assert dataset.kind(reference) == "missing"
    with pytest.raises(SourceError, match=r"has no sequence.zip.*download.py -o DIR --id ID --type sequence.zip"):
        dataset.open_scan(reference)


def test_a_folder_without_scans_says_what_lies_there(tmp_path: Path, copy: Path, reference: str) -> None:
    with pytest.raises(UsageError, match="expected folders such as 531cff08"):
        open_dataset(**{"3rscan": tmp_path / "download" / "splits"})
    with pytest.raises(UsageError, match=r"did you mean .*download\?"):
        open_dataset(**{"3rscan": tmp_path})
    with pytest.raises(UsageError, match=f"it is a scan itself: .*--scenes {reference}"):
        open_dataset(**{"3rscan": copy / reference})


def test_a_scan_and_a_download_are_recognised(download: Path, reference: str) -> None:
    assert isinstance(open_found(download), ThreeRScanDataset)
    scan = open_found(download / reference)
    assert isinstance(scan, Scan)
    assert scan.scene_id == reference
    scan.close()


def test_unpacked_frames_are_still_read_as_a_folder_of_frames(download: Path, rescan: str) -> None:
    dataset = RgbdFolder.open(download)
    assert dataset.scene_ids == (rescan,)
    with dataset.open_scan(rescan) as scan, opened(download, rescan) as labelled:
        assert scan.annotation() is None
        np.testing.assert_array_equal(scan.camera_to_world, labelled.camera_to_world)


def half(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def without(member: str) -> Callable[[Path], None]:
    return lambda path: rewritten(path, lambda name, data: None if name == member else data)


def with_member(member: str, content: bytes) -> Callable[[Path], None]:
    return lambda path: rewritten(path, lambda name, data: content if name == member else data)


@pytest.mark.parametrize(
    ("damage", "problem"),
    [
        (half, "is a zip without the directory at its end"),
        (lambda path: path.write_bytes(b""), "is empty"),
        (without("_info.txt"), "has no member _info.txt"),
        (with_member("_info.txt", b"m_versionNumber = 4"), "has no m_calibrationColorIntrinsic"),
        (lambda path: rewritten(path, lambda name, data: None if ".pgm" in name else data), "has no complete frame"),
    ],
)
def test_a_damaged_archive_is_one_error_that_names_it(
    copy: Path, reference: str, damage: Callable[[Path], None], problem: str
) -> None:
    path = copy / reference / "sequence.zip"
    damage(path)
    with pytest.raises(SourceError, match=problem) as caught:
        opened(copy, reference)
    assert caught.value.scene == reference
    assert str(caught.value.path).startswith(str(path))


def test_damaged_frames_are_counted_or_named_and_the_rest_goes_on(copy: Path, reference: str) -> None:
    nan = b"nan nan nan nan\n" * 4
    damage = {
        "frame-000002.depth.pgm": None,
        "frame-000003.pose.txt": nan,
        "frame-000004.pose.txt": b"1 0 0",
        "frame-000005.depth.pgm": b"P5\n9 9\n65535\n" + bytes(162),
        "frame-000006.color.jpg": b"\xff\xd8 not an image",
    }
    rewritten(copy / reference / "sequence.zip", lambda name, data: damage.get(name, data))
    with opened(copy, reference) as scan:
        assert scan.notes == {"frame_without_depth": 1, "frame_without_pose": 1, "unreadable_pose": 1}
        assert not np.isfinite(scan.camera_to_world[[2, 3, 4]]).all(axis=(1, 2)).any()
        with pytest.raises(SourceError, match="is 9x9, expected") as caught:
            scan.depth(5)
        assert caught.value.frame == 5
        with pytest.raises(SourceError, match="is neither a complete JPEG"):
            scan.color(6)
        assert scan.depth(8).any()
        assert scan.color(8).any()


@pytest.mark.parametrize(
    ("name", "damage", "problem"),
    [
        ("labels.instances.annotated.v2.ply", half, "mesh cannot be read: .*cut short"),
        ("semseg.v2.json", half, "is not valid JSON"),
        ("semseg.v2.json", lambda path: path.write_text("[]"), "is list, expected an object"),
        ("semseg.v2.json", lambda path: path.write_text('{"segGroups": [{"id": "x"}]}'), "segment group is malformed"),
        (
            "labels.instances.annotated.v2.ply",
            lambda path: path.write_text(path.read_text().replace("objectId", "someOther")),
            "has no vertex property objectId",
        ),
    ],
)
def test_damaged_labels_are_one_error_that_names_the_file(
    copy: Path, reference: str, name: str, damage: Callable[[Path], None], problem: str
) -> None:
    damage(copy / reference / name)
    with opened(copy, reference) as scan, pytest.raises(SourceError, match=problem) as caught:
        scan.annotation()
    assert (caught.value.scene, caught.value.path) == (reference, str(copy / reference / name))


@pytest.mark.parametrize(
    "content", ["{", "{}", '[{"type": "train"}]', '[{"reference": "../../etc", "scans": []}]', "[" * 100_000]
)
def test_a_damaged_list_of_scans_is_an_error(copy: Path, content: str) -> None:
    (copy / "3RScan.json").write_text(content)
    with pytest.raises(GapDataError, match=r"3RScan\.json"):
        open_dataset(**{"3rscan": copy})


def test_a_rescan_without_a_usable_matrix_keeps_its_place(copy: Path, reference: str, rescan: str) -> None:
    places = json.loads((copy / "3RScan.json").read_text())
    for wrong in ([1, 2], [0] * 16, None, "text"):
        places[0]["scans"][0]["transform"] = wrong
        (copy / "3RScan.json").write_text(json.dumps(places))
        with opened(copy, rescan) as scan:
            facts = scan.describe()
        assert (facts["rescan_of"], facts["world_to_reference"]) == (reference, None)


def test_the_digest_changes_with_every_file_that_matters(copy: Path, reference: str, rescan: str) -> None:
    def digests() -> tuple[str, ...]:
        found = []
        for scan_id in (reference, rescan):
            with opened(copy, scan_id) as scan:
                found.append(scan.digest())
        return tuple(found)

    before = digests()
    assert before == digests()
    (copy / rescan / "sequence" / "frame-000001.color.jpg").write_bytes(b"shorter")
    with_member("frame-000001.color.jpg", b"shorter")(copy / reference / "sequence.zip")
    after = digests()
    assert before[0] != after[0]
    assert before[1] != after[1]
    (copy / reference / "semseg.v2.json").write_text('{"segGroups": []}')
    assert digests()[0] != after[0]
