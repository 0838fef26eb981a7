"""Lists of images and poses with time stamps (TUM, Bonn) become the records that exact poses give."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

import gapdata
from gapdata.commands.main import main
from gapdata.errors import GapDataError, SourceError
from gapdata.geometry.camera import Intrinsics
from gapdata.shards.reader import ShardReader
from gapdata.sources.rgbd import RgbdFolder
from gapdata.sources.stamped_poses import LONGEST_GAP, interpolate_poses
from gapdata.sources.tum import TumScan, parse_list, parse_stamped_poses
from tests.support.exports import matrix_text, png
from tests.support.reprojection import reprojection_distances

CAMERA = Intrinsics(fx=146.0, fy=145.5, cx=80.4, cy=59.7, width=162, height=121)
START = 1305031102.0
FRAMES = 24
LOST_DEPTH = 5
HOLE = (14, 15)
"""Frames in the hole of the trajectory."""
POSE_ROW = "1305031102.1000 0 0 0 0 0 0 1"


def matrix(quaternion: Iterable[float]) -> NDArray[np.float64]:
    """The rotation of qx qy qz qw, by OpenCV's axis and angle."""
    *axis, w = quaternion
    length = float(np.linalg.norm(axis))
    vector = np.array(axis) / length * 2 * np.arctan2(length, w) if length else np.zeros(3)
    return np.asarray(cv2.Rodrigues(vector)[0])


def motion(seconds: float) -> NDArray[np.float64]:
    """A walk in a room: tx ty tz qx qy qz qw of camera_to_world."""
    angle = 0.3 * np.sin(1.7 * seconds)
    axis = np.array([0.2, 1.0, -0.1]) / np.linalg.norm([0.2, 1.0, -0.1])
    place = [0.5 * np.sin(seconds), 0.1 * np.cos(2 * seconds), 0.4 * seconds]
    return np.array([*place, *(np.sin(angle / 2) * axis), np.cos(angle / 2)])


def pose_at(seconds: float) -> NDArray[np.float64]:
    pose, row = np.eye(4), motion(seconds)
    pose[:3, :3], pose[:3, 3] = matrix(row[3:]), row[:3]
    return pose


def render(pose: NDArray[np.float64]) -> tuple[NDArray[np.uint8], NDArray[np.uint16]]:
    """Colour (BGR) and depth (5000 units a metre) of the inside of a box of 5 x 4 x 8 m."""
    u, v = np.meshgrid(np.arange(CAMERA.width), np.arange(CAMERA.height))
    rays = np.stack([(u - CAMERA.cx) / CAMERA.fx, (v - CAMERA.cy) / CAMERA.fy, np.ones(u.shape)], axis=-1)
    world = rays @ pose[:3, :3].T
    walls = np.where(world > 0, [2.5, 2.0, 5.0], [-2.5, -2.0, -3.0])
    z = ((walls - pose[:3, 3]) / world).min(axis=-1)
    points = pose[:3, 3] + z[..., None] * world
    color = 127 + 100 * np.sin(3 * points + points[..., [1, 2, 0]])
    return color.astype(np.uint8), np.round(5000 * z).astype(np.uint16)


@dataclass(frozen=True)
class Twins:
    lists: Path
    exact: Path
    times: list[float]


@pytest.fixture(scope="module")
def twins(tmp_path_factory: pytest.TempPathFactory) -> Twins:
    """One walk as lists with jittered stamps, and as numbered frames with exact poses."""
    root, rng = tmp_path_factory.mktemp("twins"), np.random.default_rng(3)
    lists, exact = root / "lists" / "walk", root / "exact" / "walk"
    for folder in (lists / "rgb", lists / "depth", exact / "color", exact / "depth", exact / "pose"):
        folder.mkdir(parents=True)
    times = [round(0.1 + frame / 30 + rng.uniform(-0.003, 0.003), 6) for frame in range(FRAMES)]
    rows: dict[str, list[str]] = {"rgb": [], "depth": []}
    for frame, time in enumerate(times):
        color, depth = render(pose_at(time))
        image, late = png(color), time + rng.uniform(-0.012, 0.012)
        names = {"rgb": f"rgb/{START + time:.6f}.png", "depth": f"depth/{START + late:.6f}.png"}
        (lists / names["rgb"]).write_bytes(image)
        (exact / "color" / f"{frame}.png").write_bytes(image)
        rows["rgb"].append(f"{START + time:.6f} {names['rgb']}")
        if frame != LOST_DEPTH:
            (lists / names["depth"]).write_bytes(png(depth))
            (exact / "depth" / f"{frame}.png").write_bytes(png(depth))
            rows["depth"].append(f"{START + late:.6f} {names['depth']}")
        lost = frame in HOLE
        (exact / "pose" / f"{frame}.txt").write_text(matrix_text(np.full((4, 4), np.nan) if lost else pose_at(time)))
    hole = times[HOLE[0]] - 0.012, times[HOLE[1]] + 0.012
    poses = [at for at in np.arange(0.0, 1.2, 0.01) + 0.0037 if not hole[0] < at < hole[1]]
    rows["groundtruth"] = [f"{START + at:.6f} {' '.join(f'{value:.7f}' for value in motion(at))}" for at in poses]
    for name, lines in rows.items():
        heading = f"# {name}\n\nstamp of a heading that lost its mark\n"
        (lists / f"{name}.txt").write_text(heading + "\n".join([*lines[:3], "", "# a comment", *lines[3:]]) + "\n")
    for folder, scale in ((lists, {}), (exact, {"depth_scale": 5000})):
        camera = {"fx": CAMERA.fx, "fy": CAMERA.fy, "cx": CAMERA.cx, "cy": CAMERA.cy, **scale}
        (folder / "intrinsics.json").write_text(json.dumps(camera))
    return Twins(lists, exact, times)


@pytest.fixture
def copy(twins: Twins, tmp_path: Path) -> Path:
    return Path(shutil.copytree(twins.lists, tmp_path / "in" / "walk"))


def build(root: Path, out: Path, *arguments: str) -> int:
    settings = ["clips.frames=4", "clips.interval=2", "clips.step=2", "clips.max_shift=0", "scene_views.enabled=false"]
    overrides = [part for setting in (*settings, "frames.image_size=[128,96]") for part in ("--set", setting)]
    return main(
        ["build-shards", "--rgbd", str(root), "--out", str(out), *overrides, "--executor", "inline", *arguments]
    )


def open_walk(folder: Path) -> TumScan:
    scan = RgbdFolder.open(folder).open_scan("walk")
    assert isinstance(scan, TumScan)
    return scan


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text()))


def test_the_records_are_those_of_exact_poses(twins: Twins, tmp_path: Path) -> None:
    for name, folder in (("lists", twins.lists.parent), ("exact", twins.exact)):
        assert build(folder, tmp_path / name) == 0
    found, expected = list(ShardReader(tmp_path / "lists")), list(ShardReader(tmp_path / "exact"))
    assert [record.key for record in found] == [record.key for record in expected]
    assert len(found) >= 3
    for one, other in zip(found, expected, strict=True):
        assert one.frame_ids == other.frame_ids
        assert not {LOST_DEPTH, *HOLE} & set(one.frame_ids)
        np.testing.assert_allclose(one.camera_to_first, other.camera_to_first, atol=2e-4)
        points, truth = one.pointmap(), other.pointmap()
        np.testing.assert_allclose(points, truth, atol=2e-3)
        found_at, true_at = (
            np.median(reprojection_distances(cloud[0], cloud[3], record.cameras[3], record.camera_to_first[3]))
            for record, cloud in ((one, points), (other, truth))
        )
        assert found_at < 0.025  # of a pixel's width, 4 m away
        assert abs(found_at - true_at) < 2e-4
    report = json.loads((tmp_path / "lists" / "report.json").read_text())
    assert report["notes"] == {
        "frame_without_depth": 1,
        "depth_paired_by_time": FRAMES - 1,
        "pose_interpolated": FRAMES - 1 - len(HOLE),
        "frame_without_pose": len(HOLE),
    }
    plan = json.loads((tmp_path / "lists" / "plan.json").read_text())
    assert plan["shards"][0]["scenes"][0]["source_kind"] == "tum-lists"


def test_holes_stay_holes_and_no_pose_is_repeated(twins: Twins) -> None:
    dataset = gapdata.open_dataset(rgbd=twins.lists)
    with dataset.open_scan("walk") as scan:
        known = np.isfinite(scan.camera_to_world).all(axis=(1, 2))
        assert np.flatnonzero(~known).tolist() == sorted({LOST_DEPTH, *HOLE})
        assert np.flatnonzero(~scan.present).tolist() == [LOST_DEPTH]
        exact = np.array([pose_at(time) for time in twins.times])
        np.testing.assert_allclose(scan.camera_to_world[known], exact[known], atol=1e-4)
        assert len(np.unique(scan.camera_to_world[known].reshape(-1, 16), axis=0)) == known.sum()
        assert scan.depth_units_per_metre == 5000
        assert scan.describe()["frames"]["invalid_poses"] == len(HOLE)


def test_inspect_shows_the_layout(twins: Twins, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inspect", str(twins.lists)]) == 0
    assert "tum-lists" in capsys.readouterr().out


def test_the_depth_scale_of_the_user_counts_before_that_of_the_file(copy: Path) -> None:
    edit(copy / "intrinsics.json", lambda text: json.dumps({**json.loads(text), "depth_scale": 4000}))
    for given, expected in ((None, 4000), (1000.0, 1000)):
        with gapdata.open_dataset(rgbd=copy, depth_scale=given).open_scan("walk") as scan:
            assert scan.depth_units_per_metre == expected


def test_an_intrinsics_file_may_lie_in_the_parent(copy: Path) -> None:
    (copy / "intrinsics.json").rename(copy.parent / "intrinsics.json")
    for root in (copy, copy.parent):
        assert open_walk(root).color_intrinsics == CAMERA


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le"])
def test_the_text_of_any_editor_and_any_order_gives_the_same_scan(copy: Path, twins: Twins, encoding: str) -> None:
    for name in ("rgb", "depth", "groundtruth"):
        lines = (copy / f"{name}.txt").read_text().splitlines()
        rows = [line.replace("/", "\\") for line in lines if line[:1].isdigit()]
        text = "\r\n".join(["# shuffled", *rows[::-1]]).replace(" ", ", ")
        (copy / f"{name}.txt").unlink()
        (copy / f"{name.upper()}.txt").write_bytes(text.encode(encoding))
    (copy / "rgb").rename(copy / "RGB")
    found, expected = open_walk(copy), open_walk(twins.lists)
    np.testing.assert_array_equal(found.camera_to_world, expected.camera_to_world)
    assert found.notes == expected.notes
    assert (found.color(3) == expected.color(3)).all()
    assert (found.depth(3) == expected.depth(3)).all()


def test_interpolation_is_that_of_the_axis_and_angle_between() -> None:
    rng = np.random.default_rng(1)
    for _ in range(50):
        ends = rng.normal(size=(2, 4))
        ends /= np.linalg.norm(ends, axis=1, keepdims=True)
        places, share = rng.normal(size=(2, 3)), rng.uniform(0.1, 0.9)
        rows = [
            " ".join(f"{value:.12f}" for value in (1e9 + at, *place, *turn))
            for at, place, turn in zip((0.0, 0.04), places, ends, strict=True)
        ]
        poses, interpolated = interpolate_poses(
            parse_stamped_poses("\n".join(rows).encode()), [f"{1e9 + 0.04 * share:.9f}"]
        )
        first, second = map(matrix, ends)
        between = cv2.Rodrigues(cv2.Rodrigues(first.T @ second)[0] * share)[0]
        assert interpolated.all()
        np.testing.assert_allclose(poses[0, :3, :3], first @ between, atol=2e-4)
        np.testing.assert_allclose(poses[0, :3, 3], places[0] + share * (places[1] - places[0]), atol=2e-4)


def test_poses_are_joined_up_to_the_limit_and_never_beyond_the_ends() -> None:
    def known(*seconds: float) -> bytes:
        return "\n".join(f"{100 + at:.4f} {at} 0 0 0 0 0 {-1.004 if at else 1}" for at in seconds).encode()

    wanted = ["99.9900", "99.99995", "100.0000", "100.0250", "100.0600", "100.1000"]
    poses, interpolated = interpolate_poses(parse_stamped_poses(known(0.0, LONGEST_GAP, 0.0996)), wanted)
    finite = np.isfinite(poses).all(axis=(1, 2))
    assert finite.tolist() == [False, True, True, True, True, False]
    assert interpolated.tolist() == [False, False, False, True, True, False]
    middle = np.eye(4)
    middle[0, 3] = 0.025
    np.testing.assert_allclose(poses[3], middle, atol=1e-9)
    poses, _ = interpolate_poses(parse_stamped_poses(known(0.0, LONGEST_GAP + 0.001)), ["100.0250"])
    assert np.isnan(poses[0]).all()


def test_lost_tracking_and_repeated_rows_are_counted(copy: Path, twins: Twins) -> None:
    lines = (copy / "groundtruth.txt").read_text().splitlines()
    rows = {at: float(line.split()[0]) for at, line in enumerate(lines) if line[:1].isdigit()}
    before = max(at for at, stamp in rows.items() if stamp < START + twins.times[8])
    lines[before] = f"{lines[before].split()[0]} nan nan nan nan nan nan nan"
    (copy / "groundtruth.txt").write_text("\n".join([*lines, lines[30]]))
    edit(copy / "rgb.txt", lambda text: text + text.splitlines()[-1])
    notes = open_walk(copy).notes
    assert notes["pose_listed_again"] == notes["color_listed_again"] == 1
    assert notes["frame_without_pose"] == len(HOLE) + 1


def test_files_that_are_listed_but_missing_are_counted(copy: Path) -> None:
    sorted((copy / "rgb").iterdir())[2].unlink()
    scan = open_walk(copy)
    assert scan.notes["color_listed_but_missing"] == scan.notes["depth_file_of_no_frame"] == 1
    assert scan.frame_count == FRAMES - 1


def test_the_digest_changes_with_each_list(copy: Path) -> None:
    digests = {open_walk(copy).digest()}
    for name in ("rgb.txt", "depth.txt", "groundtruth.txt", "intrinsics.json"):
        edit(copy / name, lambda text: text + "\n\n")
        digests.add(open_walk(copy).digest())
    assert len(digests) == 5


PUBLISHED = {
    "rgbd_dataset_freiburg1_xyz": (517.3, 516.5, 318.6, 255.3, 0.2624, -0.9531, -0.0054, 0.0026, 1.1633),
    "rgbd_dataset_freiburg2_desk": (520.9, 521.0, 325.1, 249.7, 0.2312, -0.7849, -0.0033, -0.0001, 0.9172),
    "rgbd_dataset_freiburg3_long": (535.4, 539.2, 320.1, 247.6, 0, 0, 0, 0, 0),
    "rgbd_bonn_balloon": (542.822841, 542.57687, 315.59352, 237.756098, 0.039903, -0.099343, -0.00073, -0.000144, 0),
}


def write_640(folder: Path) -> None:
    """Three frames of a wall 2 m away, 640x480, each with its own pose."""
    rows: dict[str, str] = {"rgb": "", "depth": "", "groundtruth": ""}
    pixels = np.random.default_rng(0).integers(0, 255, (48, 64, 3), dtype=np.uint8)
    for frame in range(3):
        stamp = f"{100 + frame / 30:.4f}"
        for kind, image in (("rgb", cv2.resize(pixels, (640, 480))), ("depth", np.full((480, 640), 10000, np.uint16))):
            (folder / kind).mkdir(parents=True, exist_ok=True)
            (folder / kind / f"{stamp}.png").write_bytes(png(image))
            rows[kind] += f"{stamp} {kind}/{stamp}.png\n"
        rows["groundtruth"] += f"{stamp} {frame / 100} 0 0 0 0 0 1\n"
    for name, text in rows.items():
        (folder / f"{name}.txt").write_text(text)


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_name_of_a_folder_tells_the_published_camera(name: str, tmp_path: Path) -> None:
    """The build is that of an intrinsics file with the same numbers, its lens undone in colour and in depth."""
    write_640(tmp_path / "by-name" / name)
    shutil.copytree(tmp_path / "by-name" / name, tmp_path / "by-file" / name)
    fields = ("fx", "fy", "cx", "cy", "k1", "k2", "p1", "p2", "k3")
    (tmp_path / "by-file" / "intrinsics.json").write_text(json.dumps(dict(zip(fields, PUBLISHED[name], strict=True))))
    settings = ["--set", "clips.frames=3", "--set", "clips.interval=1", "--set", "clips.max_shift=0"]
    records = []
    for kind in ("by-name", "by-file"):
        assert build(tmp_path / kind, tmp_path / f"{kind}-out", *settings) == 0
        records.append(list(ShardReader(tmp_path / f"{kind}-out")))
    (one,), (other,) = records
    np.testing.assert_array_equal(one.cameras[0].matrix, other.cameras[0].matrix)
    np.testing.assert_array_equal(one.pointmap(), other.pointmap())
    with gapdata.open_dataset(rgbd=tmp_path / "by-name").open_scan(name) as scan:
        assert scan.color_lens == scan.depth_lens
        assert (scan.color_lens is None) == (not any(PUBLISHED[name][4:]))


def test_the_real_lists_of_fr1_xyz(samples: Path) -> None:
    folder = samples / "samples" / "tum"
    colors = parse_list((folder / "rgb.txt").read_bytes())
    assert len(colors) == len(parse_list((folder / "depth.txt").read_bytes())) == 798
    assert colors[0] == ("1305031102.175304", "rgb/1305031102.175304.png")
    known = parse_stamped_poses((folder / "groundtruth.txt").read_bytes())  # its heading has lost its mark
    assert (len(known.stamps), known.repeated) == (3000, 0)
    poses, interpolated = interpolate_poses(known, [stamp for stamp, _ in colors])
    finite = np.isfinite(poses).all(axis=(1, 2))
    times, moments = np.array(known.stamps, dtype=float), np.array([stamp for stamp, _ in colors], dtype=float)
    after = np.searchsorted(times, moments)
    gaps = times[after] - times[after - 1]
    assert (finite == (gaps <= LONGEST_GAP) | (np.abs(times[:, None] - moments).min(axis=0) <= 1e-4)).all()
    assert 0 < (~finite).sum() < 30
    assert interpolated.sum() > 740
    places = np.stack([np.interp(moments, times, known.translations[:, axis]) for axis in range(3)], axis=1)
    np.testing.assert_allclose(poses[finite, :3, 3], places[finite], atol=1e-4)


def test_the_real_lists_are_paired(samples: Path, tmp_path: Path) -> None:
    scene = tmp_path / "rgbd_dataset_freiburg1_xyz"
    for name in ("rgb", "depth"):
        (scene / name).mkdir(parents=True)
        source = samples / "samples" / "tum" / f"{name}.txt"
        shutil.copy(source, scene)
        image = png(np.full((480, 640), 5000, np.uint16) if name == "depth" else np.zeros((480, 640, 3), np.uint8))
        for _, file in parse_list(source.read_bytes()):
            (scene / file).write_bytes(image)
    shutil.copy(samples / "samples" / "tum" / "groundtruth.txt", scene)
    with gapdata.open_dataset(rgbd=scene).open_scan(scene.name) as scan:
        notes = scan.notes
        assert scan.frame_count == 798
        assert notes["depth_paired_by_time"] == scan.present.sum() > 750
        assert notes.get("frame_without_depth", 0) == 798 - scan.present.sum()
        assert scan.describe()["frames"]["invalid_poses"] == notes["frame_without_pose"]
        assert 1 < scan.describe()["frames"]["path_length_m"] < 12


def without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def written(name: str, text: str) -> Callable[[Path], None]:
    def write(folder: Path) -> None:
        (folder / name).write_text(text)

    return write


ERRORS: dict[str, tuple[Callable[[Path], None], str]] = {
    "no poses": (
        without("groundtruth.txt"),
        "walk: scene walk: has rgb.txt and depth.txt, but no groundtruth.txt; add it, with lines: stamp tx ty tz",
    ),
    "no camera": (
        without("intrinsics.json"),
        "has no intrinsics file, and its name does not tell the camera (freiburg1, freiburg2, freiburg3 or "
        'rgbd_bonn_...); write intrinsics.json: {"fx": ..., "fy": ..., "cx": ..., "cy": ...}',
    ),
    "no images": (
        lambda folder: shutil.rmtree(folder / "rgb"),
        f"rgb.txt: scene walk: names {FRAMES} files, none of which exists, such as rgb/13",
    ),
    "empty list": (
        written("depth.txt", "# nothing\n"),
        "depth.txt: scene walk: has no line of a time stamp and a path",
    ),
    "no path": (written("rgb.txt", "1305031102.1\n"), "rgb.txt: scene walk: line 1 is '1305031102.1', expected a time"),
    "not a row": (
        written("rgb.txt", "1305031102.1 rgb/a.png\nrgb/b.png\n"),
        "line 2 is 'rgb/b.png', expected a time stamp and a path",
    ),
    "outside": (
        written("rgb.txt", "1305031102.1 ../a.png"),
        "line 1 names a file outside of the scene's folder: ../a.png",
    ),
    "decimal comma": (
        written("rgb.txt", "1305031102,1 rgb/a.png"),
        "line 1 has a decimal comma: 1305031102,1; write 1305031102.1",
    ),
    "few numbers": (
        written("groundtruth.txt", f"{POSE_ROW}\n1305031102.2 0 0 0 0 0 0"),
        "groundtruth.txt: scene walk: line 2 has 7 values, expected stamp tx ty tz qx qy qz qw",
    ),
    "not a number": (written("groundtruth.txt", f"{POSE_ROW[:-1]}x"), "line 1: could not convert string to float: 'x'"),
    "no rotation": (written("groundtruth.txt", f"{POSE_ROW}.02"), "line 1 has a quaternion of length 1.02, expected 1"),
    "impossible time": (
        written("rgb.txt", "1305031102.1 rgb/a.png\n1e99999999 rgb/b.png"),
        "line 2 is '1e99999999 rgb/b.png', expected a time stamp and a path",
    ),
    "heading inside": (
        written("groundtruth.txt", f"{POSE_ROW}\ntimestamp tx"),
        "line 2 does not begin with a time stamp: 'timestamp tx'",
    ),
    "no rows": (written("groundtruth.txt", "# none"), "groundtruth.txt: scene walk: has no line stamp tx ty tz qx qy"),
    "not times": (
        written("groundtruth.txt", "1 0 0 0 0 0 0 1"),
        "groundtruth.txt: scene walk: has stamps such as 1, which are not times: write seconds with a decimal point",
    ),
    "other clock": (
        written("groundtruth.txt", "5.5 0 0 0 0 0 0 1"),
        "poses from 5.5 to 5.5, and poses more than 0.05 s apart are not joined; give the poses of this recording on",
    ),
}


@pytest.mark.parametrize("case", ERRORS)
def test_what_is_wrong_is_said(case: str, copy: Path) -> None:
    damage, expected = ERRORS[case]
    damage(copy)
    with pytest.raises(SourceError) as caught:
        open_walk(copy)
    assert expected in str(caught.value)


def test_numbers_of_frames_are_not_times(copy: Path) -> None:
    name = sorted((copy / "rgb").iterdir())[0].name
    (copy / "rgb.txt").write_text(f"1 rgb/{name}")
    with pytest.raises(SourceError, match=r"rgb.txt: scene walk: has stamps such as 1, which are not times"):
        open_walk(copy)


def test_lists_of_other_clocks_are_not_paired(copy: Path) -> None:
    edit(copy / "depth.txt", lambda text: text.replace("\n1305031", "\n1305032"))
    with pytest.raises(
        SourceError, match=r"has no depth image within 0\.01\d+ s of a colour image: .* s away; give li"
    ):
        open_walk(copy)


def test_published_cameras_are_for_640x480_only(copy: Path) -> None:
    scene = copy.rename(copy.parent / "rgbd_dataset_freiburg2_small")
    (scene / "intrinsics.json").unlink()
    with pytest.raises(SourceError, match=r"is for colour images of 640x480, but the images are 162x121; give the int"):
        RgbdFolder.open(scene).open_scan(scene.name)


def test_pose_files_beside_the_lists_count_first(twins: Twins, copy: Path) -> None:
    shutil.copytree(twins.exact / "pose", copy / "pose")
    assert RgbdFolder.open(copy).kind("walk") == "color-depth-pose"
    shutil.rmtree(copy / "pose")
    (copy / "rgb.txt").unlink()
    with pytest.raises(GapDataError, match="has colour and depth, but no folder pose"):
        RgbdFolder.open(copy).open_scan("walk")
