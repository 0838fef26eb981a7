"""Walks written as ScanNet++ become records of what the walks truly show, by either camera and either poses."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest

import gapdata
from gapdata.commands.main import main
from gapdata.records.schema import Record
from gapdata.sources.base import Scan
from gapdata.sources.registry import open_dataset
from gapdata.synthetic.formats.scannetpp import CORNER, ENCODINGS, lost_pose, scene_name
from gapdata.synthetic.formats.scannetpp_dslr import BAD, HIDDEN, still_frames
from gapdata.synthetic.formats.video_files import write_video
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.builds import contents, overrides
from tests.support.fused_clouds import compactness, depth_off_mesh
from tests.support.object_stores import s3_server
from tests.support.walks import Tolerances, compare_with_walk

FRAMES, WIDTH = 22, 160
OPTIONS = WalkOptions(frames=FRAMES, width=WIDTH, noise=0)
SETTINGS = (
    *("frames.image_size=[128,96]", "clips.frames=2", "clips.interval=5", "clips.step=4", "clips.max_shift=1"),
    *("scene_views.frames=4", "shards.scenes_per_shard=1"),
)
STILLS = (*SETTINGS, "clips.interval=30", "clips.step=30", "clips.max_shift=0")
THROUGH_A_LENS = Tolerances(depth=0.02, point=0.02, share=0.9)
"""Only COLMAP knows the lens of the third room."""


@pytest.fixture(scope="module")
def walks() -> list[Walk]:
    return [Walk(index, OPTIONS) for index in range(3)]


@pytest.fixture(scope="module")
def download(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("scannetpp") / "download"
    words = ["--format", "scannetpp", "--scenes", "3", "--frames", str(FRAMES), "--color-size", f"{WIDTH}x{WIDTH}"]
    assert main(["synth", str(out), *words, "--noise", "0"]) == 0
    return out


def build(root: object, out: Path, *arguments: str, settings: Sequence[str] = SETTINGS) -> int:
    words = ["build-shards", "--scannetpp", str(root), "--out", str(out), *overrides(settings)]
    return main([*words, "--executor", "inline", *arguments])


def records(out: Path, walk: Walk) -> list[Record]:
    return [record for record in gapdata.open(out) if record.scene_id == scene_name(walk)]


def opened(download: Path, walk: Walk, **options: str) -> Scan:
    return open_dataset(scannetpp=download, **options).open_scan(scene_name(walk))


@pytest.fixture(scope="module")
def built(download: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("built") / "out"
    assert build(download, out) == 0
    return out


def test_the_records_show_what_the_walks_saw(built: Path, walks: list[Walk]) -> None:
    for walk in walks:
        limits = THROUGH_A_LENS if walk.scene.index == 2 else Tolerances(share=0.95)
        worst = compare_with_walk(records(built, walk), walk, limits, annotated=True)
        assert worst.frames >= 8
        assert len(worst.objects) > 8
    report = json.loads((built / "report.json").read_text())
    assert not report["quarantined"]
    assert {name: report["notes"][name] for name in ("object_to_be_removed", "object_of_a_dropped_label")} == {
        "object_to_be_removed": 3,
        "object_of_a_dropped_label": 3,
    }
    assert report["notes"]["row_without_aligned_pose"] == 3
    assert report["notes"]["row_without_depth"] == 1
    assert {record.split for record in records(built, walks[2])} == {"val"}
    assert {record.split for record in records(built, walks[0])} == {"train"}


def test_no_record_has_the_frame_without_a_pose(built: Path, walks: list[Walk]) -> None:
    for walk in walks:
        assert all(lost_pose(FRAMES) not in record.frame_ids for record in records(built, walk))


def test_the_anonymised_corner_has_neither_depth_nor_objects(built: Path, walks: list[Walk]) -> None:
    for record in records(built, walks[0]):
        for position in range(len(record)):
            corner = slice(0, 96 // CORNER), slice(0, 128 // CORNER)
            assert not (record.depth(position) > 0)[corner].any()
            assert not record.instances(position)[corner].any()


def test_the_poses_of_colmap_undo_the_lens(download: Path, walks: list[Walk], tmp_path: Path) -> None:
    assert build(download, tmp_path / "out", "--scannetpp-poses", "colmap") == 0
    for walk in walks:
        # COLMAP has one focal length; the iPhone's moves by a thousandth.
        limits = Tolerances(share=0.95, depth=0.005)
        worst = compare_with_walk(records(tmp_path / "out", walk), walk, limits, annotated=True)
        assert worst.frames >= 4
    notes = json.loads((tmp_path / "out" / "report.json").read_text())["notes"]
    assert notes["color_undistorted_from_OPENCV"] == notes["depth_undistorted_from_OPENCV"]


def test_the_stills_of_the_dslr_become_records_with_depth_of_the_mesh(
    download: Path, walks: list[Walk], tmp_path: Path
) -> None:
    root = tmp_path / "in"
    shutil.copytree(download / "data" / scene_name(walks[0]), root / scene_name(walks[0]))
    out = tmp_path / "out"
    assert build(root, out, "--scannetpp-camera", "dslr", settings=STILLS) == 0
    found = records(out, walks[0])
    places = still_frames(FRAMES)
    worst = compare_with_walk(
        found, walks[0], Tolerances(share=0.95), walk_frame=lambda frame: places[frame // 30], annotated=True
    )
    assert worst.frames >= 8
    assert all(30 * BAD not in record.frame_ids for record in found)
    hidden = [(record, record.frame_ids.index(30 * HIDDEN)) for record in found if 30 * HIDDEN in record.frame_ids]
    assert hidden
    assert all(not (record.depth(position) > 0)[:12, :12].any() for record, position in hidden)


def test_a_wrong_step_in_the_video_is_noticed_by_the_comparison(
    download: Path, walks: list[Walk], tmp_path: Path
) -> None:
    """The comparison itself: poses a fifteenth of a second later must not pass."""
    scene = scene_name(walks[1])
    folder = shutil.copytree(download / "data" / scene, tmp_path / "in" / scene)
    path = folder / "iphone" / "pose_intrinsic_imu.json"
    rows = json.loads(path.read_text())
    poses = [row.pop("aligned_pose", None) for row in rows.values()]
    for row, pose in zip(rows.values(), [*poses[4:], *[None] * 4], strict=True):
        if pose is not None:
            row["aligned_pose"] = pose
    path.write_text(json.dumps(rows))
    assert build(tmp_path / "in", tmp_path / "out") == 0
    with pytest.raises(AssertionError, match=r"is off by|only"):
        compare_with_walk(records(tmp_path / "out", walks[1]), walks[1], Tolerances(share=0.95), annotated=True)


def test_the_fused_cloud_is_compact_and_depth_fits_the_mesh(download: Path, walks: list[Walk]) -> None:
    frames = [frame for frame in range(0, FRAMES - 1, 3) if frame != lost_pose(FRAMES)]
    for walk, encoding in zip(walks, ENCODINGS, strict=True):
        with opened(download, walk) as scan:
            assert scan.describe_frames()["frames"]["depth_encoding"] == encoding
            voxels = compactness(scan, frames)
            assert min(voxels, key=lambda name: voxels[name]) == "camera_to_world opencv"
            annotation = scan.annotation()
            assert annotation is not None
            shifts = depth_off_mesh(scan, frames, annotation.vertices, annotation.faces)
            assert max(shifts) < 0.02


def test_the_files_say_what_the_scan_gives(download: Path, walks: list[Walk]) -> None:
    """Read without the reader: plain JSON, and OpenCV for the video."""
    for walk in walks:
        iphone = download / "data" / scene_name(walk) / "iphone"
        rows = json.loads((iphone / "pose_intrinsic_imu.json").read_text())
        capture = cv2.VideoCapture(str(iphone / "rgb.mkv"))
        images = [image[..., ::-1] for read, image in iter(capture.read, (False, None)) if read]
        assert len(images) == len(rows) == 2 * FRAMES - 1
        with opened(download, walk) as scan:
            for frame in range(0, FRAMES - 1, 4):
                row = rows[f"frame_{2 * frame:06d}"]
                assert np.array_equal(scan.color(frame), images[2 * frame])
                assert np.array_equal(scan.color_camera(frame).matrix, row["intrinsic"])
                assert np.array_equal(scan.camera_to_world[frame], row["aligned_pose"])
                assert not np.allclose(row["pose"], row["aligned_pose"])
            assert scan.color_lens is None


def test_equal_options_give_equal_shards_and_a_build_goes_on_where_it_stopped(
    download: Path, built: Path, tmp_path: Path
) -> None:
    whole = contents(built)
    out = Path(shutil.copytree(built, tmp_path / "out"))
    tars = sorted(out.glob("*.tar"))
    assert len(tars) == 3
    for place in (out / "report.json", tars[1], tars[1].with_suffix(".json")):
        place.unlink()
    kept = tars[0].stat().st_mtime_ns
    assert build(download, out) == 0
    assert contents(out) == whole
    assert tars[0].stat().st_mtime_ns == kept, "what was built is not built again"
    assert build(download, tmp_path / "again") == 0
    again = contents(tmp_path / "again")
    assert all(again[path.name] == whole[path.name] for path in tars)


def test_a_download_in_a_store_gives_the_same_bytes(download: Path, built: Path, tmp_path: Path) -> None:
    with s3_server() as store:
        assert build(store.copy_in(download, "scannetpp"), tmp_path / "out") == 0
    here, there = contents(built), contents(tmp_path / "out")
    assert [name for name in here if name.endswith(".tar")]
    assert all(there[name] == data for name, data in here.items() if name.endswith(".tar"))


def test_equal_frames_give_equal_videos(tmp_path: Path) -> None:
    image = np.arange(48 * 64 * 3, dtype=np.uint8).reshape(48, 64, 3)
    for name in ("a.mkv", "b.mkv"):
        write_video(tmp_path / name, [image, image[::-1]], 60.0)
    assert (tmp_path / "a.mkv").read_bytes() == (tmp_path / "b.mkv").read_bytes()
    capture = cv2.VideoCapture(str(tmp_path / "a.mkv"))
    assert np.array_equal(capture.read()[1][..., ::-1], image)
