"""Names of files in a user's folder mean the frames that a person would say they mean, in the order of counting; what
is no frame is passed over, counted, or named with the reason.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.errors import SourceError, UsageError
from gapdata.files.natural_order import natural_key
from gapdata.records.codec import encode_jpeg
from gapdata.sources.extracted import ExtractedScan
from gapdata.sources.frame_numbering import number_frames
from gapdata.sources.rgbd import RgbdFolder, scene_name
from gapdata.sources.time_pairs import pair_by_time
from tests.support.exports import matrix_text, png

CAMERA = {"fx": 38.0, "fy": 38.0, "cx": 19.5, "cy": 14.5}
COUNT = 6
Names = tuple[str, ...]


def scene(folder: Path, color: Names, depth: Names | None = None, pose: Names | None = None) -> Path:
    """A folder of frames, the k-th of each kind in time with a depth of k + 1 metres and a pose at x = k."""
    for kind in ("color", "depth", "pose"):
        (folder / kind).mkdir(parents=True)
    stems = [Path(name).name.rpartition(".")[0] for name in color]
    for k, name in enumerate(color):
        image = np.full((30, 40, 3), 20 * k + 20, np.uint8)
        (folder / "color" / name).write_bytes(encode_jpeg(image, 95))
    for k, name in enumerate(depth or tuple(f"{stem}.png" for stem in stems)):
        (folder / "depth" / name).write_bytes(png(np.full((30, 40), 1000 * (k + 1), np.uint16)))
    for k, name in enumerate(pose or tuple(f"{stem}.txt" for stem in stems)):
        matrix = np.eye(4)
        matrix[0, 3] = k
        (folder / "pose" / name).write_text(matrix_text(matrix))
    (folder / "intrinsics.json").write_text(json.dumps(CAMERA))
    return folder


def opened(folder: Path) -> ExtractedScan:
    scan = RgbdFolder.open(folder).open_scan(scene_name(folder))
    assert isinstance(scan, ExtractedScan)
    return scan


def told(folder: Path) -> list[tuple[int, int, float]]:
    """Of every frame in order: its number by colour, by depth in metres, and by the pose."""
    scan = opened(folder)
    frames = np.flatnonzero(scan.present).tolist()
    colors = [round((int(scan.color(k)[0, 0, 0]) - 20) / 20) for k in frames]
    return [
        (n, int(scan.depth(k)[0, 0]) // 1000 - 1, scan.camera_to_world[k, 0, 3])
        for n, k in zip(colors, frames, strict=False)
    ]


def in_step(count: int) -> list[tuple[int, int, float]]:
    return [(k, k, float(k)) for k in range(count)]


NAMES = {
    "padded": ("{:05d}", 10),
    "not padded": ("{}", 5),
    "a word before": ("frame{}", 5),
    "a camera before": ("cam0_{}", 2),
    "a word behind": ("{:03d}_rgb", 7),
    "a sequence before": ("seq-01-frame-{}", 9),
    "seconds": ("{:.4f}", 0.2),
    "seconds of the epoch": ("130503110{}.175304", 1),
    "nanoseconds": ("140363657{}763555584", 1),
    "below zero": ("{}", 1),
    "spaces": ("my scan {}", 8),
    "not of ASCII": ("K\u00fcche \u5ba2\u5385 {}", 8),
    "brackets": ("frame [{}] (1)", 8),
    "date and time": ("2021-05-03_12-59-{}", 1),
}


@pytest.mark.parametrize(("pattern", "step"), NAMES.values(), ids=NAMES.keys())
def test_frames_are_in_the_order_of_counting(pattern: str, step: float, tmp_path: Path) -> None:
    start = {"{:.4f}": 9.5, "below zero": -3}.get(pattern, 8 if "12-59" in pattern else 0)
    names = [pattern.format(start + step * k) for k in range(COUNT)]
    folder = scene(tmp_path / "room", tuple(f"{name}.jpg" for name in names))
    assert told(folder) == in_step(COUNT)


def test_numbers_are_raw_indices_and_stamps_are_counted() -> None:
    def ids(*names: str) -> list[int]:
        return list(number_frames({"color": names}).frames["color"].values())

    assert ids("cam0_2", "cam0_10", "cam0_31") == [2, 10, 31]
    assert ids("000350", "7") == [350, 7]
    assert ids("kitchen12", "bath3") == [12, 3]
    assert ids("10.0", "9.5") == [1, 0]
    assert ids("-1", "3", "-20") == [1, 2, 0]
    assert ids("200001", "7") == [1, 0]
    assert ids("IMG_20210503_123015", "IMG_20210503_093015") == [1, 0]
    assert ids("b", "a") == [1, 0]
    assert ids("1_9", "1_10", "2_1") == [0, 1, 2]
    numbering = number_frames({"color": ["01", "02", "03", "preview", "01 (1)"]})
    assert numbering.frames["color"] == {"01": 1, "02": 2, "03": 3}
    assert numbering.left_out("color", ["01", "preview", "01 (1)"]) == ["01 (1)", "preview"]


def test_colour_and_depth_of_different_words_belong_together_by_number(tmp_path: Path) -> None:
    numbers = (0, 5, 10, 100)
    folder = scene(
        tmp_path / "room",
        tuple(f"color_{n}.jpg" for n in numbers),
        tuple(f"depth-{n:06d}.png" for n in numbers),
        tuple(f"scene2_pose{n}.txt" for n in numbers),
    )
    assert told(folder) == in_step(4)
    assert np.flatnonzero(opened(folder).present).tolist() == list(numbers)


def test_time_stamps_are_paired_with_the_nearest(tmp_path: Path) -> None:
    """As TUM's: colour and depth of one sensor, a few milliseconds apart; a depth image was lost."""
    times = [1305031102.175304 + 0.0333 * k for k in range(COUNT)]
    depth = [f"{time - 0.0149:.6f}.png" for time in times]
    folder = scene(
        tmp_path / "desk",
        tuple(f"{t:.6f}.jpg" for t in times),
        tuple(depth),
        tuple(f"{t + 0.004:.6f}.txt" for t in times),
    )
    assert told(folder) == in_step(COUNT)
    assert opened(folder).notes == {"depth_paired_by_time": COUNT, "pose_paired_by_time": COUNT}
    (folder / "depth" / depth[2]).unlink()
    assert [row[0] for row in told(folder)] == [0, 1, 3, 4, 5]
    notes = {"depth_paired_by_time": COUNT - 1, "pose_paired_by_time": COUNT, "frame_without_depth": 1}
    assert opened(folder).notes == notes


def test_stamps_of_other_units_and_forms_are_paired_and_no_others() -> None:
    def pairs(one: list[str], two: list[str]) -> dict[str, str] | None:
        found = pair_by_time({n: n.split("_") for n in one}, {n: n.split("_") for n in two})
        return None if found is None else dict(found.partners)

    assert pairs(["1305031102.17", "1305031102.27"], ["1305031102160000000", "1305031102265000000"]) == {
        "1305031102160000000": "1305031102.17",
        "1305031102265000000": "1305031102.27",
    }
    assert pairs(["1305031102_170", "1305031102_270"], ["1305031102_160", "1305031102_265"]) == {
        "1305031102_160": "1305031102_170",
        "1305031102_265": "1305031102_270",
    }
    assert pairs(["12_30", "12_31"], ["12_30", "12_31"]) is None  # a clock, and a second apart
    assert pairs(["9.0", "9.1", "9.2"], ["9.051", "9.151", "9.251"]) == {}
    assert pairs(["0.0", "10.0", "20.0"], ["0.6", "10.6", "20.6"]) == {"0.6": "0.0", "10.6": "10.0", "20.6": "20.0"}
    assert pairs(["1000", "1030"], ["1305031102.1"]) is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(0, 50), unique=True, max_size=30), st.lists(st.floats(0, 50), unique=True, max_size=30))
def test_a_pair_by_time_is_close_and_nothing_is_used_twice(one: list[float], two: list[float]) -> None:
    first, other = ({f"{k}": (f"{value:.6f}",) for k, value in enumerate(values)} for values in (one, two))
    found = pair_by_time(first, other)
    if found is None or not found.known_unit:
        return
    assert len(set(found.partners.values())) == len(found.partners)
    for b, a in found.partners.items():
        assert abs(one[int(a)] - two[int(b)]) <= found.limit + 1e-5


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab01_.-9 ", max_size=6), unique=True, max_size=8))
def test_any_names_have_one_order_and_one_numbering(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)
    try:
        frames = number_frames({"color": names, "depth": names}).frames
    except ValueError:
        return
    assert frames == number_frames({"color": backwards, "depth": backwards}).frames


def test_people_count_numbers_in_names() -> None:
    ordered = ["-20", "-3.5", "0", "9.5.jpg", "10.0.jpg", "cam0_2", "cam0_10", "room1", "room 2", "room 10"]
    backwards = ordered[::-1]
    assert sorted(backwards, key=natural_key) == ordered


LITTER = ("._{}", ".DS_Store", "Thumbs.db", "desktop.ini", ".{}.swp", "{}~", "{}.tmp", "{}.part")


def test_what_systems_and_tools_leave_is_no_frame(tmp_path: Path) -> None:
    folder = scene(tmp_path / "disk" / "room", tuple(f"{k:05d}.jpg" for k in range(3)))
    for place, pattern in product([folder, *(folder / kind for kind in ("color", "depth", "pose"))], LITTER):
        (place / pattern.format("00001.jpg" if place.name == "color" else "00001.png")).write_bytes(
            b"\0\5\x16\7Mac OS X"
        )
    for name in ("lost+found", "@eaDir", "__MACOSX", ".snapshot", "$RECYCLE.BIN"):
        (tmp_path / "disk" / name).mkdir()
        (folder / name).mkdir()
    (folder / "color" / "00009.jpg").symlink_to("nowhere.jpg")
    (folder / "color" / "00008.jpg").symlink_to("00008.jpg")  # in a circle
    os.mkfifo(folder / "color" / "00007.jpg")
    (tmp_path / "disk" / "gone").symlink_to("nowhere")
    assert told(folder) == in_step(3)
    assert opened(folder).notes == {}
    assert RgbdFolder.open(tmp_path / "disk").scene_ids == ("room",)
    (folder / "color" / "00001_vis.jpg").write_bytes(b"")
    assert opened(folder).notes == {"color_file_of_no_frame": 1}


def test_endings_and_folders_count_in_any_case(tmp_path: Path) -> None:
    names = tuple(f"{k}.JPEG" for k in range(3))
    folder = scene(tmp_path / "room", names, tuple(f"{k}.PNG" for k in range(3)), tuple(f"{k}.TXT" for k in range(3)))
    for old, new in (("color", "RGB"), ("depth", "Depth"), ("pose", "Poses"), ("intrinsics.json", "Intrinsics.JSON")):
        (folder / old).rename(folder / new)
    assert told(folder) == in_step(3)


def test_two_names_of_one_frame_are_refused_by_name(tmp_path: Path) -> None:
    folder = scene(tmp_path / "room", ("00001.jpg", "2.jpg"))
    shutil.copy(folder / "color" / "2.jpg", folder / "color" / "00002.jpg")
    with pytest.raises(SourceError, match=r"frame 2: color/00002.jpg and color/2.jpg name the same frame; remove one"):
        opened(folder)
    (folder / "color" / "00002.jpg").unlink()
    for name in ("d_1", "d_2", "e_1", "e_2"):
        (folder / "depth" / f"{name}.png").write_bytes(b"")
    for name in ("00001", "2"):
        (folder / "depth" / f"{name}.png").unlink()
    with pytest.raises(SourceError, match="d_1 and e_1 could both belong to one frame; remove one"):
        opened(folder)


def test_no_complete_frame_says_what_lies_there_and_why_it_does_not_count(tmp_path: Path) -> None:
    def problem(name: str, **kinds: Names) -> str:
        with pytest.raises(SourceError) as caught:
            opened(scene(tmp_path / name, **kinds))
        assert caught.value.cure is not None
        assert caught.value.cure.startswith("looked for color/NAME.jpg, .jpeg")
        return caught.value.problem

    color = ("00000.jpg", "00010.jpg")
    assert problem("a", color=color, depth=("00000.xyz", "00010.xyz")).startswith(
        "has no complete frame: depth/ holds 2 .xyz (00000.xyz), but no depth such as NAME.png"
    )
    assert "depth/ holds 2 .jpg (00000.jpg) (JPEG keeps no depth)" in problem("b", color=color, depth=color)
    assert problem("c", color=color, depth=("00005.png", "00015.png")) == (
        "has no complete frame: none of its files (2 color, 2 depth, 2 pose) belong to the same frame; color/00000.jpg "
        "has no depth (the most similar name is depth/00005.png), color/00010.jpg has no depth (the most similar name "
        "is depth/00015.png)"
    )
    stamps = ("9.0000.jpg", "9.1000.jpg")
    assert problem("d", color=stamps, depth=("9.0400.png", "9.1400.png")) == (
        "has no complete frame: none of its files (2 color, 2 depth, 2 pose) belong to the same frame; the depth "
        "nearest to color/9.0000.jpg is depth/9.0400.png, 0.04 s away, the depth nearest to color/9.1000.jpg is "
        "depth/9.1400.png, 0.04 s away; files of one frame are at most 0.03 s apart"
    )
    folder = scene(tmp_path / "e", color)
    shutil.rmtree(folder / "pose")
    (folder / "pose").mkdir()
    with pytest.raises(SourceError, match="has no complete frame: pose/ holds no file; looked for"):
        opened(folder)


def test_a_folder_is_called_what_the_user_called_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = scene(tmp_path / "store" / "x17", ("1.jpg", "2.jpg"))
    (tmp_path / "scenes").mkdir()
    (tmp_path / "scenes" / "kitchen").symlink_to(folder)
    linked = tmp_path / "scenes" / "hall"
    for kind in ("color", "depth", "pose"):
        (linked / kind).mkdir(parents=True)
        for file in (folder / kind).iterdir():
            (linked / kind / file.name).symlink_to(file)
    (linked / "intrinsics.json").symlink_to(folder / "intrinsics.json")
    assert RgbdFolder.open(tmp_path / "scenes").scene_ids == ("hall", "kitchen")
    assert RgbdFolder.open(tmp_path / "scenes" / "kitchen").scene_ids == ("kitchen",)
    assert told(linked) == told(folder) == in_step(2)
    monkeypatch.chdir(folder)
    for place in (".", "color/..", "./"):
        assert RgbdFolder.open(place).scene_ids == ("x17",)
    monkeypatch.chdir(tmp_path / "scenes")
    assert RgbdFolder.open("../scenes").scene_ids == ("hall", "kitchen")
    assert scene_name(Path("/")) == "root"
    assert scene_name(Path("u\u0308ber")) == scene_name(Path("\u00fcber")) == "_ber"


def test_scenes_are_in_the_order_of_counting(tmp_path: Path) -> None:
    for name in ("room10", "room2", "room1"):
        scene(tmp_path / name, ("1.jpg",))
    assert RgbdFolder.open(tmp_path).scene_ids == ("room1", "room2", "room10")


def bound(*arguments: str) -> subprocess.CompletedProcess[str]:
    """``gapdata`` without root's right to read everything."""
    rights = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--bounding-set={rights}", f"--inh-caps={rights}"] if os.geteuid() == 0 else []
    if drop and shutil.which("setpriv") is None:
        pytest.skip("root may read everything, and setpriv is missing")
    command = [*drop, sys.executable, "-m", "gapdata", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_folder_that_may_not_be_read_is_passed_over_and_said(tmp_path: Path) -> None:
    scene(tmp_path / "disk" / "room1", ("1.jpg",))
    for name in ("lost+found", "room2"):
        (tmp_path / "disk" / name).mkdir(mode=0)
    out = str(tmp_path / "out")
    told = bound("build-shards", "--rgbd", str(tmp_path / "disk"), "--out", out, "--dry-run")
    assert told.returncode == 0
    assert f"note: {tmp_path}/disk/room2 is passed over: it cannot be listed: Permission denied" in told.stderr
    assert "lost+found" not in told.stderr
    for arguments in (
        ("--rgbd", str(tmp_path / "disk" / "room2")),
        ("--rgbd", str(tmp_path / "disk"), "--scenes", "room2"),
    ):
        told = bound("build-shards", *arguments, "--out", out, "--dry-run")
        assert told.returncode == 2
        assert "room2" in told.stderr
        assert "cannot be listed: Permission denied" in told.stderr


def test_a_scene_that_is_hidden_or_a_backup_is_passed_over_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("room1", "room1~", ".old"):
        scene(tmp_path / name, ("1.jpg",))
    dataset = RgbdFolder.open(tmp_path)
    assert dataset.scene_ids == ("room1",)
    assert set(dataset.passed_over) == {"room1~", ".old"}
    assert main(["build-shards", "--rgbd", str(tmp_path), "--out", str(tmp_path / "out"), "--dry-run"]) == 0
    assert "room1~ is passed over: it is hidden or a backup by its name" in capsys.readouterr().err
    (tmp_path / "other" / "scans").mkdir(parents=True)
    (tmp_path / "other" / "readme.txt").touch()
    with pytest.raises(UsageError, match=r"holds no RGB-D frames; .* it holds readme.txt, scans/$"):
        RgbdFolder.open(tmp_path / "other")
