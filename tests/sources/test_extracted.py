"""Frames that were extracted from a scan give the records that the scan itself gives, whatever extracted them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import SourceError
from gapdata.shards.reader import ShardReader
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.layouts import SEVEN_SCENES, recognise
from gapdata.sources.scannet import ScanNetDataset, ScanNetScan
from gapdata.sources.sens import SensReader
from tests.support.exports import (
    copied,
    encoded_again,
    export_frames_25k,
    export_official,
    export_posed_images,
    export_seven_scenes,
    matrix_text,
    png,
    write_textured_scene,
)

SCENE = "scene0003_01"
FRAMES, LOST = 40, (3, 26)
Export = Callable[..., None]
EXPORTS: dict[str, Export] = {
    "official-export": export_official,
    "posed-images": export_posed_images,
    "scannet-frames-25k": export_frames_25k,
    "7-scenes": export_seven_scenes,
}
FOLDERS = {
    "official-export": "scans",
    "posed-images": "posed_images",
    "scannet-frames-25k": "scannet_frames_25k",
    "7-scenes": "scans",
}


def build(root: Path, out: Path, interval: int, *arguments: str) -> int:
    settings = ["frames.image_size=[128,96]", "clips.frames=2", f"clips.interval={interval}", f"clips.step={interval}"]
    settings += ["clips.max_shift=1" if interval > 2 else "clips.max_shift=0", "scene_views.frames=3"]
    overrides = [part for setting in [*settings, "prompts.spacing=8"] for part in ("--set", setting)]
    return main(
        ["build-shards", "--scannet", str(root), "--out", str(out), *overrides, "--executor", "inline", *arguments]
    )


def export(source: Path, root: Path, kind: str, **options: object) -> Path:
    """Export the scene of ``source`` into a download at ``root``; its annotation lies under ``scans/`` as ever."""
    home = root / "scans" / SCENE
    shutil.copytree(source, home, ignore=shutil.ignore_patterns("*.sens"))
    frames = root / FOLDERS[kind] / SCENE
    with SensReader(source / f"{SCENE}.sens") as sens:
        EXPORTS[kind](sens, frames, **options)
    return frames


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_textured_scene(tmp_path_factory.mktemp("sens") / "scans" / SCENE, FRAMES, lost=LOST)


@pytest.fixture(scope="module")
def exported(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A download with an official export; tests that change it copy it."""
    root = tmp_path_factory.mktemp("official")
    export(source, root, "official-export", color=copied)
    return root


@pytest.fixture
def frames(exported: Path, tmp_path: Path) -> Path:
    shutil.copytree(exported, tmp_path / "copy")
    return tmp_path / "copy" / "scans" / SCENE


def assert_same_geometry(found: ShardReader, expected: ShardReader, keys: list[str] | None = None) -> None:
    """Equal frames, depth and objects; pointmaps to the rounding of the pose text (6 decimals over a few metres)."""
    for key in expected.keys if keys is None else keys:
        one, other = found[key], expected[key]
        assert (one.frame_ids, one.split, one.source) == (other.frame_ids, other.split, "scannet")
        assert np.abs(one.camera_to_world - other.camera_to_world).max() < 2e-6
        np.testing.assert_allclose(one.pointmap(), other.pointmap(), atol=5e-5, rtol=0)
        assert [item.object_id for item in one.objects] == [item.object_id for item in other.objects]
        depths = [name for name in other.members if name.endswith("depth.png")]
        assert depths
        assert all(one.members[name] == other.members[name] for name in depths)


@pytest.mark.parametrize(("kind", "color"), [("official-export", encoded_again), ("7-scenes", copied)])
def test_a_full_export_gives_the_views_and_pointmaps_of_the_sens(
    source: Path, tmp_path: Path, kind: str, color: Callable[[bytes], bytes]
) -> None:
    export(source, tmp_path / "exported", kind, color=color)
    assert build(source.parent.parent, tmp_path / "a", 6) == 0
    assert build(tmp_path / "exported", tmp_path / "b", 6) == 0
    expected, found = ShardReader(tmp_path / "a"), ShardReader(tmp_path / "b")
    assert list(found.keys) == list(expected.keys)
    assert len(expected.keys) == 7
    assert_same_geometry(found, expected)
    for one, other in zip(found, expected, strict=True):
        assert len(one.prompts) == len(other.prompts) > 0
        assert (one.members["00.jpg"] == other.members["00.jpg"]) == (color is copied)
        difference = np.abs(one.image(0).astype(int) - other.image(0).astype(int))
        assert difference.mean() < 4
    reports = [json.loads((tmp_path / name / "report.json").read_text()) for name in "ab"]
    assert [(report["frames"], report["lost_tracking"], report["notes"]) for report in reports] == [
        (FRAMES, len(LOST), {"label_not_in_map": 3}),
    ] * 2
    plan = json.loads((tmp_path / "b" / "plan.json").read_text())
    assert [scene["source_kind"] for shard in plan["shards"] for scene in shard["scenes"]] == [kind]


@pytest.mark.parametrize(
    ("kind", "step"), [("official-export", 5), ("posed-images", 10), ("scannet-frames-25k", 10), ("7-scenes", 10)]
)
def test_an_export_of_every_nth_frame_gives_the_clips_at_multiples_of_n(
    source: Path, tmp_path: Path, kind: str, step: int
) -> None:
    export(source, tmp_path / "exported", kind, step=step, color=copied)
    assert build(source.parent.parent, tmp_path / "a", 10) == 0
    assert build(tmp_path / "exported", tmp_path / "b", 10) == 0
    expected, found = ShardReader(tmp_path / "a"), ShardReader(tmp_path / "b")
    clips = [key for key in expected.keys if "-clip-" in key]
    assert clips == [f"{SCENE}-clip-{start:05d}" for start in (0, 10, 20)]
    assert [key for key in found.keys if "-clip-" in key] == clips
    assert_same_geometry(found, expected, clips)
    report = json.loads((tmp_path / "b" / "report.json").read_text())
    assert (report["frames"], report["lost_tracking"], report["notes"]) == (
        FRAMES // step,
        0,
        {"label_not_in_map": 3},
    )


def test_raw_indices_are_numbers_and_not_words(source: Path, exported: Path) -> None:
    with ScanNetScan(source) as sens, ScanNetDataset.open(exported).open_scan(SCENE) as scan:
        np.testing.assert_allclose(scan.camera_to_world, sens.camera_to_world, atol=1e-6)
        assert (scan.color(10) == sens.color(10)).all()
        assert (scan.color(10, 2) == sens.color(10, 2)).all()
        assert (scan.depth(10) == sens.depth(10)).all()
        assert scan.color_intrinsics == sens.color_intrinsics
        assert scan.depth_intrinsics == sens.depth_intrinsics
        assert scan.depth_units_per_metre == sens.depth_units_per_metre
        assert (scan.depth_to_color == sens.depth_to_color).all()
        np.testing.assert_array_equal(scan.axis_alignment, sens.axis_alignment)


def test_absent_raw_indices_hold_no_frame_and_no_pose(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path, "posed-images", step=10)
    with ScanNetDataset.open(tmp_path).open_scan(SCENE) as scan:
        assert scan.frame_count == 31
        assert np.flatnonzero(scan.present).tolist() == [0, 10, 20, 30]
        assert np.isfinite(scan.camera_to_world).all(axis=(1, 2)).tolist() == scan.present.tolist()
        with pytest.raises(SourceError, match=f"scene {SCENE}, frame 7: is not among the frames of the scan"):
            scan.color(7)


def test_a_download_of_all_kinds_names_each_in_its_plan(
    source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(source, tmp_path / "scans" / SCENE)
    with SensReader(source / f"{SCENE}.sens") as sens:
        export_official(sens, tmp_path / "scans" / SCENE, step=20)
        export_official(sens, tmp_path / "scans" / "scene0004_00", step=20)
        export_seven_scenes(sens, tmp_path / "scans" / "scene0005_00", step=20)
        export_posed_images(sens, tmp_path / "posed_images" / "scene0006_00")
        export_frames_25k(sens, tmp_path / "scannet_frames_25k" / "scene0006_00", step=20)
        export_frames_25k(sens, tmp_path / "scannet_frames_25k" / "scene0007_00", step=20)
    (tmp_path / "scans" / "scene0008_00").mkdir()
    dataset = ScanNetDataset.open(tmp_path)
    kinds = ["sens", "official-export", "7-scenes", "posed-images", "scannet-frames-25k", "missing"]
    assert [dataset.kind(scene) for scene in dataset.scene_ids] == kinds
    assert build(tmp_path, tmp_path / "out", 20, "--dry-run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["source_kinds"] == dict.fromkeys(sorted(kinds), 1)
    assert build(tmp_path, tmp_path / "out", 20, "--dry-run") == 0
    assert "read from 7-scenes (1), missing (1), official-export (1)" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path)]) == 0
    described = capsys.readouterr().out
    assert "posed-images 1, scannet-frames-25k 1" in described
    assert "['scene0008_00']" in described


def test_frames_find_their_annotation_under_scans(source: Path, tmp_path: Path) -> None:
    export(source, tmp_path, "posed-images")
    for root in (tmp_path, tmp_path / "posed_images"):
        with ScanNetDataset.open(root).open_scan(SCENE) as scan:
            annotation = scan.annotation()
            assert annotation is not None
            assert len(annotation.objects) == 3
            assert scan.axis_alignment is not None
    shutil.rmtree(tmp_path / "scans")
    with ScanNetDataset.open(tmp_path).open_scan(SCENE) as scan:
        assert scan.annotation() is None
        assert scan.axis_alignment is None


def test_inspect_names_the_layout_and_what_is_missing(frames: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (frames / "depth" / "4.png").unlink()
    (frames / "pose" / "5.txt").write_text("")
    assert main(["inspect", str(frames), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)["frames"]
    assert facts["layout"] == "official-export"
    assert (facts["frames"], facts["frame_ids"], facts["step"]) == (FRAMES - 1, "0 to 39", 1)
    assert (facts["invalid_poses"], facts["unreadable_poses"]) == (3, [5])
    assert facts["missing"] == {"frame_without_depth": 1}
    assert (facts["color"]["fx"], facts["depth"]["shift"]) == (115.0, 1000.0)


def test_incomplete_frames_and_unreadable_poses_enter_no_view_and_are_counted(frames: Path, tmp_path: Path) -> None:
    (frames / "color" / "6.jpg").unlink()
    (frames / "pose" / "12.txt").unlink()
    (frames / "pose" / "18.txt").write_text("1 0 0")
    assert build(frames.parent.parent, tmp_path / "out", 2) == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["frames"], report["lost_tracking"]) == (FRAMES - 2, len(LOST) + 1)
    noted = {"frame_without_color": 1, "frame_without_pose": 1, "unreadable_pose": 1}
    assert noted.items() <= report["notes"].items()
    reader = ShardReader(tmp_path / "out")
    assert len(reader.keys) > 5
    assert all(not {6, 12, 18, *LOST} & set(record.frame_ids) for record in reader)


def test_poses_that_are_not_finite_are_lost_tracking_in_any_spelling(frames: Path) -> None:
    (frames / "pose" / "1.txt").write_text("-1.#INF " * 16)
    (frames / "pose" / "2.txt").write_text("nan " * 16)
    (frames / "pose" / "4.txt").write_text(matrix_text(np.diag([1.0, 1.0, -1.0, 1.0])))
    with ScanNetDataset.open(frames.parent.parent).open_scan(SCENE) as scan:
        assert scan.notes == {}
        assert np.flatnonzero(~np.isfinite(scan.camera_to_world).all(axis=(1, 2))).tolist() == [1, 2, *LOST]


@pytest.mark.parametrize(
    ("file", "edit", "message"),
    [
        ("color/12.jpg", lambda data: data[:-600], "is neither a complete JPEG or PNG"),
        ("depth/12.png", lambda data: data[:-600], "is cut off before the end of the PNG"),
        ("depth/12.png", lambda data: data[:300] + b"\0" * 40 + data[340:], "PNG has a chunk with a wrong checksum"),
        ("depth/12.png", lambda data: b"", "is neither a PNG nor a binary PGM"),
        ("color/12.jpg", lambda data: b"", "is neither a complete JPEG or PNG"),
    ],
)
def test_a_damaged_image_takes_only_its_own_views(
    frames: Path, tmp_path: Path, file: str, edit: Callable[[bytes], bytes], message: str
) -> None:
    path = frames / file
    path.write_bytes(edit(path.read_bytes()))
    assert build(frames.parent.parent, tmp_path / "out", 6) == 3
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert {(item["scene_id"], item["frame"], item["path"]) for item in report["quarantined"]} == {
        (SCENE, 12, str(path))
    }
    assert all(message in item["problem"] for item in report["quarantined"])
    assert {item["key"] for item in report["quarantined"]} >= {f"{SCENE}-clip-00006", f"{SCENE}-clip-00012"}
    assert f"{SCENE}-clip-00000" in ShardReader(tmp_path / "out").keys


def test_an_image_of_another_size_is_an_error_of_its_frame(frames: Path) -> None:
    (frames / "depth" / "9.png").write_bytes(png(np.zeros((24, 32), np.uint16)))
    with ScanNetDataset.open(frames.parent.parent).open_scan(SCENE) as scan:
        with pytest.raises(SourceError, match=r"9\.png: scene scene0003_01, frame 9: is 32x24, expected 64x48"):
            scan.depth(9)
        image = bytearray((frames / "color" / "8.jpg").read_bytes())
        start = image.index(b"\xff\xc0") + 5
        image[start : start + 4] = b"\xff\xff\xff\xff"  # a bomb: 65535 x 65535 in a small file
        (frames / "color" / "8.jpg").write_bytes(image)
        with pytest.raises(SourceError, match="frame 8: is 65535x65535, but the first frame is 128x96"):
            scan.color(8)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("intrinsic/intrinsic_color.txt", None, "cannot be read: No such file or directory"),
        ("intrinsic/intrinsic_depth.txt", "1 2 3", "has 3 numbers, expected a 3x3 or 4x4 matrix"),
        ("intrinsic/intrinsic_color.txt", "0 " * 16, "colour intrinsics are impossible: fx 0"),
        (
            "intrinsic/intrinsic_color.txt",
            "1170.2 0 647.75 0 0 1170.2 483.75 0 0 0 1 0 0 0 0 1",
            "colour intrinsics are impossible: .* for 128x96; give the intrinsics of these images",
        ),
        (
            "intrinsic/intrinsic_color.txt",
            "230 0 127.5 0 0 230 95.5 0 0 0 1 0 0 0 0 1",
            "colour intrinsics are those of another image size: fx 230, fy 230, cx 127.5, cy 95.5 for 128x96",
        ),
        ("intrinsic/extrinsic_depth.txt", "2 " * 16, "depth extrinsics are not a rigid transform"),
        ("pose/7.txt", "0 " * 200_000, r"frame 7: is larger than 65536 bytes"),
        ("color/007.jpg", "", r"frame 7: color/007\.jpg and color/7\.jpg name the same frame; remove one of them"),
        ("color/9999999.jpg", "", "has a frame 9999999, but raw indices are at most 200000"),
    ],
)
def test_a_scene_that_cannot_be_used_says_why(frames: Path, file: str, text: str | None, message: str) -> None:
    (frames / file).unlink(missing_ok=True)
    if text is not None:
        (frames / file).write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        ScanNetDataset.open(frames.parent.parent).open_scan(SCENE)
    assert caught.value.scene == SCENE


def test_an_info_file_without_an_entry_names_it(source: Path, tmp_path: Path) -> None:
    frames = export(source, tmp_path, "7-scenes", step=20)
    text = (frames / "_info.txt").read_text()
    for old, new, message in (
        ("m_depthShift = 1000", "m_depthShift = 0", "has depth scale 0, expected units per metre"),
        ("m_depthShift", "m_depth", "has no m_depthShift"),
        ("m_colorWidth = 128", "m_colorWidth = 1296", "is for colour images of 1296x96, but the images are 128x96"),
        ("Intrinsic = 115", "Intrinsic = 1 115", "m_calibrationColorIntrinsic has 17 numbers, expected the 16"),
    ):
        (frames / "_info.txt").write_text(text.replace(old, new))
        with pytest.raises(SourceError, match=message) as caught:
            ScanNetDataset.open(tmp_path).open_scan(SCENE)
        assert caught.value.path == str(frames / "_info.txt")


def test_an_info_file_keeps_the_length_of_the_scan(source: Path, tmp_path: Path) -> None:
    frames = export(source, tmp_path, "7-scenes", step=15)
    assert ExtractedScan(SCENE, frames, SEVEN_SCENES).frame_count == FRAMES
    (frames / "_info.txt").write_text((frames / "_info.txt").read_text().replace("m_frames.size = 40", ""))
    assert ExtractedScan(SCENE, frames, SEVEN_SCENES).frame_count == 31


def test_the_digest_follows_names_sizes_poses_and_cameras(frames: Path) -> None:
    def digest() -> str:
        with ScanNetDataset.open(frames.parent.parent).open_scan(SCENE) as scan:
            return scan.digest()

    seen = [digest()]
    assert digest() == seen[0]

    def changed() -> bool:
        seen.append(digest())
        return seen[-1] not in seen[:-1]

    pose = frames / "pose" / "1.txt"
    pose.write_text(pose.read_text().replace("0.0", "0.1", 1))
    assert changed()
    (frames / "intrinsic" / "intrinsic_color.txt").write_text("115.5 0 63.5 0 115 47.5 0 0 1")
    assert changed()
    (frames / "color" / "1.jpg").write_bytes((frames / "color" / "1.jpg").read_bytes() + b"\0")
    assert changed()
    (frames / "depth" / "39.png").rename(frames / "depth" / "40.png")
    assert changed()
    (frames / f"{SCENE}.txt").write_text("sceneType = Kitchen")
    assert changed()
    payload = bytearray((frames / "color" / "2.jpg").read_bytes())
    payload[700] ^= 1
    (frames / "color" / "2.jpg").write_bytes(payload)
    (frames / "color" / "Thumbs.db").write_bytes(b"not a frame")
    assert digest() == seen[-1]


def test_mended_frames_are_noticed_by_a_resumed_build(
    frames: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (frames / "intrinsic" / "intrinsic_color.txt").rename(tmp_path / "aside.txt")
    assert build(frames.parent.parent, tmp_path / "out", 6) == 3
    (tmp_path / "aside.txt").rename(frames / "intrinsic" / "intrinsic_color.txt")
    assert build(frames.parent.parent, tmp_path / "out", 6) == 2
    assert f"other sources: {SCENE} has changed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("names", "layout"),
    [
        (["color", "depth", "pose", "intrinsic"], "official-export"),
        (["color", "depth", "pose"], "official-export"),
        (["color", "depth", "pose", "intrinsics_color.txt"], "scannet-frames-25k"),
        (["00000.jpg", "00000.png", "00000.txt", "intrinsic.txt"], "posed-images"),
        (["_info.txt"], "7-scenes"),
        (["frame-000000.color.jpg"], "7-scenes"),
        (["scene0000_00_vh_clean_2.ply", "scene0000_00.txt", "label-filt"], None),
        ([], None),
    ],
)
def test_a_layout_is_recognised_by_the_names_in_its_folder(names: list[str], layout: str | None) -> None:
    found = recognise(names)
    assert (None if found is None else found.name) == layout
