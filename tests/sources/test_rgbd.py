"""Any folder of colour, depth and poses with one intrinsics file becomes records; what does not fit is named."""

from __future__ import annotations

import json
import shutil
from itertools import permutations
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.errors import SourceError, UsageError
from gapdata.shards.reader import ShardReader
from gapdata.sources.camera_files import parse_intrinsics
from gapdata.sources.depth_files import decode_depth
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.pose_files import parse_trajectory
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.sens import SensReader
from tests.support.exports import export_official, export_seven_scenes, matrix_text, pgm, png, write_textured_scene
from tests.support.reprojection import reprojection_distances
from tests.support.scannet_scenes import COLOR, DEPTH

REDWOOD = {"fx": 525.0, "fy": 525.0, "cx": 319.5, "cy": 239.5, "width": 640, "height": 480}
SHARED = {"fx": COLOR.fx, "fy": COLOR.fy, "cx": COLOR.cx, "cy": COLOR.cy}
FRAMES = 6


def build(root: Path, out: Path, *arguments: str, frames: int = 3) -> int:
    settings = [f"clips.frames={frames}", "clips.interval=1", "clips.max_shift=0", "scene_views.enabled=false"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    return main(
        ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline", *arguments]
    )


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_textured_scene(tmp_path_factory.mktemp("sens") / "scene0000_00", FRAMES, lost=(4,))


@pytest.fixture(scope="module")
def plain(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``rgb/ depth/ poses/`` of padded names and ``intrinsics.json``; tests that change it copy it."""
    folder = tmp_path_factory.mktemp("plain") / "lab.v2"
    with SensReader(source / "scene0000_00.sens") as sens:
        for frame in range(FRAMES):
            write_frame(sens, frame, folder, f"rgb/{frame:04d}.jpg", f"depth/{frame:04d}.png")
            (folder / "poses").mkdir(exist_ok=True)
            (folder / "poses" / f"{frame:04d}.txt").write_text(matrix_text(sens.camera_to_world[frame]))
    (folder / "intrinsics.json").write_text(json.dumps(SHARED))
    return folder


@pytest.fixture
def copy(plain: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(plain, tmp_path / "in" / "lab.v2"))


def write_frame(sens: SensReader, frame: int, folder: Path, color: str, depth: str) -> None:
    for name, data in ((color, sens.color_bytes(frame)), (depth, png(sens.depth(frame)))):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)


def test_redwoods_sample_works_with_an_intrinsics_file_beside_it(samples: Path, tmp_path: Path) -> None:
    folder = tmp_path / "living room 1"
    shutil.copytree(samples / "redwood-rgbd", folder)
    (folder / "intrinsics.json").write_text(json.dumps(REDWOOD))
    assert build(folder, tmp_path / "out", frames=5) == 0
    (record,) = ShardReader(tmp_path / "out")
    assert (record.key, record.source, record.split) == ("living_room_1-clip-00000", "rgbd", "unknown")
    points, cameras = record.pointmap(), record.cameras
    for one, other in permutations(range(5), 2):
        distances = reprojection_distances(points[one], points[other], cameras[other], record.camera_to_first[other])
        assert np.median(distances) < 0.015
    plan = json.loads((tmp_path / "out" / "plan.json").read_text())
    assert plan["source"] == "rgbd"
    assert plan["shards"][0]["scenes"][0]["source_kind"] == "color-depth-trajectory"


def test_poses_in_files_are_those_of_the_scan(source: Path, plain: Path) -> None:
    dataset = RgbdFolder.open(plain)
    assert dataset.scene_ids == ("lab_v2",)
    assert dataset.kind("lab_v2") == "color-depth-pose"
    with dataset.open_scan("lab_v2") as scan, SensReader(source / "scene0000_00.sens") as sens:
        np.testing.assert_allclose(scan.camera_to_world, sens.camera_to_world, atol=1e-6)
        assert (scan.color(5) == sens.color(5)).all()
        assert (scan.depth(5) == sens.depth(5)).all()
        assert scan.annotation() is None
        assert scan.axis_alignment is None


def test_a_smaller_depth_image_shares_the_resampled_colour_camera(plain: Path) -> None:
    with RgbdFolder.open(plain).open_scan("lab_v2") as scan:
        assert scan.color_intrinsics == COLOR
        assert scan.depth_intrinsics == COLOR.resized(DEPTH.width, DEPTH.height)


def test_lost_poses_are_dropped_and_counted(plain: Path, tmp_path: Path) -> None:
    assert build(plain, tmp_path / "out", "--set", "clips.step=1", "--set", "frames.image_size=[128,96]") == 0
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (report["frames"], report["lost_tracking"], report["scenes_without_annotation"]) == (FRAMES, 1, 1)
    assert list(ShardReader(tmp_path / "out").keys) == ["lab_v2-clip-00000", "lab_v2-clip-00001"]


def test_replicas_naming_with_one_line_a_pose_and_the_camera_of_the_whole_dataset(source: Path, tmp_path: Path) -> None:
    with SensReader(source / "scene0000_00.sens") as sens:
        for room in ("room0", "office1"):
            for frame in range(FRAMES):
                names = (f"results/frame{frame:06d}.jpg", f"results/depth{frame:06d}.png")
                write_frame(sens, frame, tmp_path / room, *names)
            lines = (" ".join(str(value) for value in pose.flat) for pose in sens.camera_to_world)
            (tmp_path / room / "traj.txt").write_text("\n".join(lines))
        (tmp_path / "cam_params.json").write_text(
            json.dumps({"camera": {**SHARED, "w": 128, "h": 96, "scale": 6553.5}})
        )
        dataset = RgbdFolder.open(tmp_path)
        assert dataset.scene_ids == ("office1", "room0")
        with dataset.open_scan("room0") as scan:
            assert scan.depth_units_per_metre == 6553.5
            assert scan.notes == {}
            assert (scan.camera_to_world == sens.camera_to_world).all()
            assert (scan.depth(3) == sens.depth(3)).all()


def test_names_without_numbers_are_counted_in_their_order(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    with SensReader(source / "scene0000_00.sens") as sens:
        for frame in range(FRAMES):
            stamp = f"1305031102.{175304 + 33333 * frame}"
            write_frame(sens, frame, folder, f"rgb/{stamp}.png", f"depth/{stamp}.png")
            image = cv2.cvtColor(sens.color(frame), cv2.COLOR_RGB2BGR)
            cv2.imwrite(str(folder / "rgb" / f"{stamp}.png"), image)
        (folder / "trajectory.txt").write_text("\n".join(matrix_text(pose) for pose in sens.camera_to_world))
        (folder / "intrinsics.txt").write_text(matrix_text(COLOR.matrix))
        with RgbdFolder.open(folder).open_scan("desk") as scan:
            assert scan.frame_count == FRAMES
            assert (scan.color(2) == sens.color(2)).all()
            np.testing.assert_allclose(scan.camera_to_world, sens.camera_to_world, atol=1e-6)


def test_a_trajectory_of_the_whole_stream_serves_every_second_image(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "desk"
    with SensReader(source / "scene0000_00.sens") as sens:
        for frame in range(0, FRAMES, 2):
            write_frame(sens, frame, folder, f"color/{frame}.jpg", f"depth/{frame}.png")
        blocks = [f"{k} {k} {k + 1}\n{matrix_text(pose)}" for k, pose in enumerate(sens.camera_to_world)]
        (folder / "intrinsics.json").write_text(json.dumps(SHARED))
        (folder / "trajectory.log").write_text("".join(blocks))
        with RgbdFolder.open(folder).open_scan("desk") as scan:
            assert np.flatnonzero(scan.present).tolist() == [0, 2, 4]
            np.testing.assert_allclose(scan.camera_to_world[[0, 2]], sens.camera_to_world[[0, 2]], atol=1e-6)
        (folder / "trajectory.log").write_text("".join(blocks[:2]))
        with pytest.raises(SourceError, match="has 2 poses for 3 colour images with indices up to 4"):
            RgbdFolder.open(folder).open_scan("desk")


def test_seven_scenes_itself_is_read_with_an_intrinsics_file(source: Path, tmp_path: Path) -> None:
    folder = tmp_path / "chess"
    with SensReader(source / "scene0000_00.sens") as sens:
        for frame in range(2):
            write_frame(sens, frame, folder, f"frame-{frame:06d}.color.png", f"frame-{frame:06d}.depth.png")
            (folder / f"frame-{frame:06d}.pose.txt").write_text(matrix_text(sens.camera_to_world[frame]))
        (folder / "camera-intrinsics.txt").write_text(matrix_text(COLOR.matrix))
        dataset = RgbdFolder.open(tmp_path)
        assert dataset.kind("chess") == "7-scenes"
        with dataset.open_scan("chess") as scan:
            assert (scan.depth(1) == sens.depth(1)).all()


def test_an_official_export_brings_its_own_cameras(source: Path, tmp_path: Path) -> None:
    with SensReader(source / "scene0000_00.sens") as sens:
        export_official(sens, tmp_path / "my scan")
    with RgbdFolder.open(tmp_path).open_scan("my_scan") as scan:
        assert isinstance(scan, ExtractedScan)
        assert scan.layout.name == "official-export"
        assert scan.depth_intrinsics == DEPTH


def test_info_txt_brings_its_own_cameras_whatever_the_folder_is_called(source: Path, tmp_path: Path) -> None:
    with SensReader(source / "scene0000_00.sens") as sens:
        export_seven_scenes(sens, tmp_path / "my capture")
        export_seven_scenes(sens, tmp_path / "3rscan" / "0ab-12" / "sequence")
    folders = tmp_path / "folders"
    for kind, ending in (("color", "jpg"), ("depth", "pgm"), ("pose", "txt")):
        (folders / kind).mkdir(parents=True)
        for path in (tmp_path / "my capture").glob(f"*.{kind}.{ending}"):
            shutil.copy(path, folders / kind / f"{path.name.partition('.')[0]}.{ending}")
    text = (tmp_path / "my capture" / "_info.txt").read_text()
    (folders / "_info.txt").write_bytes(text.replace("\n", "\r\n").encode("utf-16"))
    for root, name in ((tmp_path / "my capture", "my_capture"), (tmp_path / "3rscan", "0ab-12"), (folders, "folders")):
        with RgbdFolder.open(root).open_scan(name) as scan:
            assert isinstance(scan, ExtractedScan)
            assert scan.depth_intrinsics == DEPTH
            assert (len(scan.files.complete), scan.frame_count) == (FRAMES, FRAMES)


def test_the_depth_scale_of_the_command_line_outranks_that_of_the_file(copy: Path, tmp_path: Path) -> None:
    """Depth at twice its size does not fit the poses, which a build of several frames a view would notice."""
    (copy / "intrinsics.json").write_text(json.dumps({**SHARED, "depth_scale": 500}))
    nearest = []
    for name, arguments in (("a", ()), ("b", ("--depth-scale", "1000"))):
        assert build(copy, tmp_path / name, *arguments, "--set", "frames.far=60.0", frames=1) == 0
        points = ShardReader(tmp_path / name)[0].pointmap()
        nearest.append(np.nanmedian(points[0, ..., 2]))
    assert nearest[0] == pytest.approx(2 * nearest[1], rel=1e-2)


def test_inspect_names_the_layout(plain: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(plain), "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["frames"]["layout"] == "color-depth-pose"
    assert (facts["frames"]["frames"], facts["frames"]["invalid_poses"]) == (FRAMES, 1)
    assert main(["inspect", str(plain.parent)]) == 0
    assert "color-depth-pose 1" in capsys.readouterr().out
    assert main(["inspect", str(tmp_path)]) == 2
    assert "holds no RGB-D frames, nor does it look like ScanNet" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "has no intrinsics file; write intrinsics.json"),
        ('{"fx": 115, "fy": 115, "cx": 63.5}', "has no cy"),
        ('{"fx": "wide", "fy": 115, "cx": 63.5, "cy": 47}', "fx is 'wide', expected a number"),
        ('{"fx": 115,', "is not valid JSON"),
        ('{"fx": 1e999, "fy": 115, "cx": 63.5, "cy": 47}', "fx is inf, expected a number"),
        ("115 0 63.5\n0 115", "has 5 numbers, expected a 3x3 or 4x4 matrix"),
        ("a b c", "could not convert string to float"),
        (
            json.dumps({**SHARED, "width": 256, "height": 192}),
            "is for colour images of 256x192, but the images are 128x96",
        ),
        (json.dumps({**SHARED, "cx": 120.0}), "colour intrinsics are those of another image size"),
        (json.dumps({**SHARED, "depth_scale": 0}), "has depth scale 0, expected units per metre"),
    ],
)
def test_intrinsics_that_cannot_serve_are_refused(copy: Path, text: str | None, message: str) -> None:
    (copy / "intrinsics.json").unlink()
    if text is not None:
        (copy / "intrinsics.json").write_text(text)
    with pytest.raises(SourceError, match=message) as caught:
        RgbdFolder.open(copy).open_scan("lab_v2")
    assert caught.value.scene == "lab_v2"


def test_depth_of_another_shape_needs_its_own_camera(copy: Path) -> None:
    for frame in range(FRAMES):
        (copy / "depth" / f"{frame:04d}.png").write_bytes(png(np.ones((48, 48), np.uint16)))
    with pytest.raises(
        SourceError, match="cannot serve colour of 128x96 and depth of 48x48: their aspect ratios differ"
    ):
        RgbdFolder.open(copy).open_scan("lab_v2")


def test_what_is_no_folder_of_frames_is_refused(copy: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(UsageError, match="nowhere: is not a directory; give a folder of RGB-D frames"):
        RgbdFolder.open(tmp_path / "nowhere")
    assert main(["build-shards", "--rgbd", "s3://bucket/frames"]) == 2
    assert "is not a local folder; --rgbd reads scans from disk: copy or mount them" in capsys.readouterr().err
    (tmp_path / "empty").mkdir()
    with pytest.raises(UsageError, match="holds no RGB-D frames; expected color/, depth/ and pose/"):
        RgbdFolder.open(tmp_path / "empty")
    shutil.copytree(copy, copy.parent / "lab_v2")
    with pytest.raises(UsageError, match=r"lab\.v2 and lab_v2 would both be scene lab_v2; rename one of them"):
        RgbdFolder.open(copy.parent)
    (copy / "intrinsics.txt").write_text("1")
    with pytest.raises(SourceError, match=r"has both intrinsics\.json and intrinsics\.txt"):
        RgbdFolder.open(copy).open_scan("lab_v2")
    (copy / "intrinsics.txt").unlink()
    shutil.rmtree(copy / "poses")
    with pytest.raises(SourceError, match="scene lab_v2: has colour and depth, but no folder pose; poses are in"):
        RgbdFolder.open(copy).open_scan("lab_v2")
    assert main(["build-shards", "--scannet", str(copy), "--depth-scale", "1000"]) == 2
    assert "--depth-scale can be given with --rgbd only" in capsys.readouterr().err
    with pytest.raises(SystemExit, match="2"):
        main(["build-shards", "--scannet", "a", "--rgbd", "b"])


@pytest.mark.parametrize("arguments", [["--rgbd", ""], ["--scannet", " "], ["--rgbd", ".", "--scenes", " ,"]])
def test_an_argument_that_is_empty_does_not_mean_this_folder_or_everything(
    arguments: list[str], copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    with pytest.raises(SystemExit, match="2"):
        main(["build-shards", *arguments])
    assert "is empty; write . for this folder" in (said := capsys.readouterr().err) or "has no name in it" in said
    assert not (copy / "shards").exists()


def test_inspect_says_what_a_folder_of_frames_lacks(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(copy / "depth")
    assert main(["inspect", str(copy)]) == 2
    said = capsys.readouterr().err
    assert "holds no RGB-D frames, nor does it look like ScanNet" in said
    assert "; expected color/, depth/ and pose/" in said
    assert "; it holds intrinsics.json, poses/, rgb/" in said


def test_an_axis_that_points_up_is_named_with_its_cure(copy: Path, capsys: pytest.CaptureFixture[str]) -> None:
    camera = json.loads((copy / "intrinsics.json").read_text())
    (copy / "intrinsics.json").write_text(json.dumps(camera | {"fy": -camera["fy"]}))
    assert main(["inspect", str(copy), "--poses"]) == 3
    assert f"points up (ICL-NUIM): write fy {camera['fy']:g} and pass --axes unity" in capsys.readouterr().err
    (copy / "intrinsics.json").write_text(json.dumps(camera | {"fx": -camera["fx"]}))
    assert main(["inspect", str(copy), "--poses"]) == 3
    assert "focal lengths are positive" in capsys.readouterr().err


def test_a_trajectory_is_read_in_its_three_forms() -> None:
    rng = np.random.default_rng(0)
    poses = rng.normal(size=(4, 4, 4)).round(6)
    lines = "\n".join(" ".join(str(value) for value in pose.flat) for pose in poses)
    blocks = "\n".join(matrix_text(pose) for pose in poses)
    log = "".join(f"{k} {k} {k + 1}\n{matrix_text(pose)}" for k, pose in enumerate(poses))
    for text in (lines, blocks, log):
        np.testing.assert_array_equal(parse_trajectory(text.encode()), poses)
    for text, message in (
        (lines + "\n1 2 3 4 5", "line 5 has 5 values, expected 16, or blocks of 4 lines of 4"),
        (matrix_text(poses[0][:3]), "has 3 rows of four numbers, expected four for each pose"),
        ("", "has 0 rows"),
        ("1 2 3 x " * 4, "could not convert"),
    ):
        with pytest.raises(ValueError, match=message):
            parse_trajectory(text.encode())


def test_open3ds_camera_file_is_read_by_columns() -> None:
    text = json.dumps({"width": 640, "height": 480, "intrinsic_matrix": [525, 0, 0, 0, 526, 0, 319.5, 239.5, 1]})
    cameras = parse_intrinsics(text.encode()).cameras((640, 480), (320, 240))
    color, depth = cameras.color, cameras.depth
    assert (color.fx, color.fy, color.cx, color.cy) == (525.0, 526.0, 319.5, 239.5)
    assert (depth.fx, depth.cx) == (262.5, 159.5)


def test_depth_files_are_exact_and_what_is_none_is_refused() -> None:
    depth = np.random.default_rng(1).integers(0, 65536, (5, 7)).astype(np.uint16)
    commented = pgm(depth).replace(b"P5\n", b"P5\n# by a scanner\n")
    for data in (png(depth), pgm(depth), commented):
        assert (decode_depth(data, (7, 5)) == depth).all()
    for data, message in (
        (png(depth.astype(np.uint8)), "is a PNG of 8 bits and colour type 0, expected 16-bit greyscale"),
        (pgm(depth).replace(b"65535", b"255"), "is a PGM of 255 levels"),
        (pgm(depth)[:-1], "is cut off: the PGM has 69 of 70 bytes"),
        (png(depth[:4]), "is 7x4, expected 7x5"),
        (pgm(depth).replace(b"7 5", b"999999 999999"), "is cut off: the PGM has 70 of 1999996000002 bytes"),
        (b"\xff\xd8\xff", "is neither a PNG nor a binary PGM"),
    ):
        with pytest.raises(ValueError, match=message):
            decode_depth(data, (7, 5))
