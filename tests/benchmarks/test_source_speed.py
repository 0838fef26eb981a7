"""Speed and memory of builds from other data sets than ScanNet, as ratios against what cannot be left out.

`make bench` runs this. Captures are twins: images of their real size and kind, of a synthetic room. Whatever is
compared is measured in the same run, and where it says so in the same process.
"""

from __future__ import annotations

import cProfile
import json
import pstats
import statistics
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.records.codec import encode_png
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.shards.reader import ShardReader
from gapdata.synthetic.formats.registry import FORMATS
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.benchmarks.test_build_speed import run

WALKED = 900
"""Frames of the walk that ARKitScenes' capture is of: half a minute, 300 images."""
VIDEO_WALKED, VIDEO_SIZE = 60, (1920, 1440)
CLIPS = ("clips.frames=3", "clips.interval=3", "clips.step=9", "clips.max_shift=0", "scene_views.enabled=false")
"""Every image of a capture at 10 Hz, in one clip each."""
CLIPS_AND_SCENES = ("clips.interval=15", "clips.step=15", "scene_views.frames=16")
"""As recipes have it: neighbouring clips share frames, and views of the whole scan go back to its beginning."""
JPEG = [cv2.IMWRITE_JPEG_QUALITY, 92]
REPEATS = 3


def words(option: str, source: Path, out: Path, settings: tuple[str, ...], *arguments: str) -> list[str]:
    overrides = [part for setting in settings for part in ("--set", setting)]
    return ["build-shards", f"--{option}", str(source), "--out", str(out), *overrides, *arguments]


@pytest.fixture(scope="module")
def arkitscenes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("arkit")
    FORMATS["arkitscenes"].load().write(out, [Walk(0, WalkOptions(frames=WALKED, width=256))])
    return out


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A scene of ScanNet++ with a video of the real size."""
    out, small = tmp_path_factory.mktemp("video"), 240
    (scene,) = FORMATS["scannetpp"].load().write(out, [Walk(0, WalkOptions(frames=VIDEO_WALKED, width=small))])
    iphone, scale = out / "data" / scene / "iphone", VIDEO_SIZE[0] / small
    for name in ("rgb.mkv", "rgb_mask.mkv"):
        enlarge(iphone / name)
    rows = json.loads((iphone / "pose_intrinsic_imu.json").read_text())
    for row in rows.values():
        matrix = np.array(row["intrinsic"]) * scale
        matrix[:2, 2] += (scale - 1) / 2
        matrix[2] = (0, 0, 1)
        row["intrinsic"] = matrix.tolist()
    (iphone / "pose_intrinsic_imu.json").write_text(json.dumps(rows))
    return out


def enlarge(path: Path) -> None:
    """Write a video again at the real size, with a picture to start from every half second as phones do."""
    small = path.with_name(f"small-{path.name}")
    path.rename(small)
    reader = cv2.VideoCapture(str(small))
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"mp4v"), 60.0, VIDEO_SIZE)
    while (found := reader.read())[0]:
        writer.write(cv2.resize(found[1], VIDEO_SIZE, interpolation=cv2.INTER_CUBIC))
    writer.release()
    small.unlink()


def frames_of(build: Path) -> int:
    return sum(len(record) for record in ShardReader(build))


def floor_of(source: Path, frames: int) -> tuple[float, float]:
    """CPU seconds to inflate the PNG files of so many frames and encode them as JPEG; and with the depth's PNG, too."""
    files = {kind: sorted(source.rglob(f"{kind}/*.png")) for kind in ("lowres_wide", "lowres_depth")}
    started, depth_png = time.process_time(), 0.0
    for place in range(frames):
        color, depth = (
            cv2.imdecode(np.frombuffer(files[kind][place % len(files[kind])].read_bytes(), np.uint8), flag)
            for kind, flag in (("lowres_wide", cv2.IMREAD_COLOR), ("lowres_depth", cv2.IMREAD_UNCHANGED))
        )
        cv2.imencode(".jpg", color, JPEG)
        before = time.process_time()
        encode_png(depth)
        depth_png += time.process_time() - before
    floor = time.process_time() - started
    return floor - depth_png, floor


def test_clips_of_arkitscenes_cost_little_more_than_decoding(arkitscenes: Path, tmp_path: Path) -> None:
    keep_freed_memory()
    settings = ("frames.image_size=[256,192]", *CLIPS)
    assert main(words("arkitscenes", arkitscenes, tmp_path / "warm", settings, "--executor", "inline")) == 0
    ratios = []
    for turn in range(REPEATS):
        out = tmp_path / str(turn)
        started = time.process_time()
        assert main(words("arkitscenes", arkitscenes, out, settings, "--executor", "inline")) == 0
        ours, frames = time.process_time() - started, frames_of(out)
        floor, pixels = floor_of(arkitscenes, frames)
        ratios.append((ours / floor, ours / pixels, 1000 * ours / frames))
    command = [sys.executable, "-m", "gapdata", *words("arkitscenes", arkitscenes, tmp_path / "again", settings)]
    memory = run([*command, "--executor", "inline"])[2]
    floor, pixels, each = (statistics.median(column) for column in zip(*ratios, strict=True))
    print(f"\nARKitScenes: {frames} frames, {each:.1f} ms CPU a frame, plan and masks included")
    print(f"  against inflating PNG and encoding JPEG:              {floor:.2f}x")
    print(f"  against that and encoding the depth that is stored:   {pixels:.2f}x")
    print(f"  peak memory: {memory:.0f} MB")
    assert memory < 600


def test_a_video_is_decoded_about_once(video: Path, tmp_path: Path) -> None:
    profile = cProfile.Profile()
    profile.enable()
    assert main(words("scannetpp", video, tmp_path / "out", CLIPS_AND_SCENES, "--executor", "inline")) == 0
    profile.disable()
    decoding = decoding_of(profile)
    once = cProfile.Profile()
    once.enable()
    for path in sorted(video.rglob("*.mkv")):
        reader = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
        while reader.read()[0]:
            pass
    once.disable()
    command = [sys.executable, "-m", "gapdata", *words("scannetpp", video, tmp_path / "again", CLIPS_AND_SCENES)]
    memory = run([*command, "--executor", "inline"])[2]
    ratio = decoding / decoding_of(once)
    print(f"\nScanNet++: decoding in a build takes {ratio:.2f}x as long as decoding colour and masks once in order")
    print(f"  {frames_of(tmp_path / 'out')} frames of {len(ShardReader(tmp_path / 'out'))} views; peak {memory:.0f} MB")
    assert ratio <= 1.3
    assert memory < 600


def decoding_of(profile: cProfile.Profile) -> float:
    """Seconds in OpenCV's video reader."""
    stats = pstats.Stats(profile).stats  # type: ignore[attr-defined] # not in the stubs
    return sum(row[2] for (_, _, name), row in stats.items() if "cv2.VideoCapture" in name)
