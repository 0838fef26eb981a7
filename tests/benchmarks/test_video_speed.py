"""Speed and memory of building from a video, against decoding the video once in order in the same run.

The capture is one of Stray Scanner at its own sizes, 20 s at 60 Hz: a camera that moves along a wall. Its video is
MPEG-4, which OpenCV can write; HEVC, which phones write, takes longer to decode, so that the ratio of a real capture is
lower. CPU time (user + system) of whole processes counts, start-up included.
"""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.benchmarks.test_build_speed import run

FRAMES, RATE = 1200, 60.0
WIDTH, HEIGHT = 1920, 1440
FOCAL, DISTANCE, STEP = 1597.8, 2.0, 0.00125  # pixels, metres, metres a frame: one pixel
GRAIN = 12  # levels of sensor noise
HEADER = "timestamp, frame, x, y, z, qx, qy, qz, qw, fx, fy, cx, cy, distortion_center_x, distortion_center_y"
PAIRS = 3
DECODE = """
import sys
from pathlib import Path
from gapdata.files.video import VideoFrames
with VideoFrames(Path(sys.argv[1])) as video:
    assert video.count_by_decoding() == int(sys.argv[2])
"""


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_capture(tmp_path_factory.mktemp("video") / "5eed000000")


def write_capture(folder: Path) -> Path:
    """One capture, of a wall with a texture, seen by a camera that moves to the right."""
    for kind in ("depth", "confidence"):
        (folder / kind).mkdir(parents=True)
    rng = np.random.default_rng(0)
    coarse = rng.integers(0, 255, (HEIGHT // 16, (WIDTH + FRAMES) // 16, 3), dtype=np.uint8)
    wall = cv2.resize(coarse, (WIDTH + FRAMES, HEIGHT), interpolation=cv2.INTER_CUBIC)
    grain = rng.integers(0, GRAIN, (HEIGHT + 64, WIDTH + 64, 3), dtype=np.uint8)
    codec = cv2.VideoWriter.fourcc(*"mp4v")
    writer = cv2.VideoWriter(str(folder / "rgb.mp4"), cv2.CAP_FFMPEG, codec, RATE, (WIDTH, HEIGHT))
    _, depth = cv2.imencode(".png", np.full((192, 256), 1000 * DISTANCE, dtype=np.uint16))
    _, confidence = cv2.imencode(".png", np.full((192, 256), 2, dtype=np.uint8))
    lines = [HEADER]
    for frame in range(FRAMES):
        at = frame * 7 % 64, frame * 11 % 64
        noise = grain[at[0] : at[0] + HEIGHT, at[1] : at[1] + WIDTH]
        writer.write(cv2.add(np.ascontiguousarray(wall[:, frame : frame + WIDTH]), np.ascontiguousarray(noise)))
        (folder / f"depth/{frame:06d}.png").write_bytes(depth.tobytes())
        (folder / f"confidence/{frame:06d}.png").write_bytes(confidence.tobytes())
        pose = f"{STEP * frame:.6f}, 1.5, 0, 1, 0, 0, 0"
        lines.append(f"{100 + frame / RATE:.6f}, {frame:06d}, {pose}, {FOCAL}, {FOCAL}, 959.5, 719.5, , ")
    writer.release()
    (folder / "odometry.csv").write_text("\n".join(lines) + "\n")
    return folder


def test_a_build_costs_little_more_than_decoding_the_video_once(capture: Path, tmp_path: Path) -> None:
    ratios, peaks = [], []
    for index in range(PAIRS):
        floor, _, _ = run([sys.executable, "-c", DECODE, str(capture / "rgb.mp4"), str(FRAMES)])
        out = tmp_path / str(index)
        words = ["build-shards", "--rgbd", str(capture.parent), "--out", str(out), "--executor", "inline"]
        used, _, peak = run([sys.executable, "-m", "gapdata", *words])
        ratios.append(used / floor)
        peaks.append(peak)
        print(f"\nbuild {used:.1f} s, decoding {floor:.1f} s of CPU, ratio {used / floor:.2f}, peak {peak:.0f} MB")
    assert statistics.median(ratios) <= 1.3
    assert max(peaks) <= 600
