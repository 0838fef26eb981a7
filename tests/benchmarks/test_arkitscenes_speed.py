"""Opening captures of ARKitScenes and reading their frames, as ratios to what no reader can leave out.

`make bench` runs this. A capture has 300 images of the real size, made of a few different ones. The baselines are
measured in turn with the reader, in the same process: listing the folders with the size of each file and reading the
camera files for opening; inflating the PNG files for frames.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.engine.make_plan import make_plan
from gapdata.engine.recipe import Recipe
from gapdata.sources.arkit.scan import ArkitScan
from gapdata.sources.arkitscenes import ArkitScenes
from gapdata.synthetic.formats.arkitscenes import CAMERA
from gapdata.synthetic.formats.walk import Walk, WalkOptions
from tests.support.arkit_captures import CAPTURE, camera_at, row, write_boxes, write_cameras
from tests.support.exports import png

IMAGES, DISTINCT, ROUNDS = 300, 6, 9
CAPTURES = 5000
LONGEST = 60.0
"""Seconds in which all captures of 3dod have to be planned on one core."""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> ArkitScenes:
    root = tmp_path_factory.mktemp("arkitscenes")
    home = root / "3dod" / "Validation" / CAPTURE
    frames = home / f"{CAPTURE}_frames"
    walk = Walk(0, WalkOptions(frames=DISTINCT))
    times = [1000 + frame / 10 for frame in range(IMAGES)]
    names = [f"{CAPTURE}_{moment:.3f}" for moment in times]
    camera = CAMERA
    colors = [png(walk.color(frame, camera)) for frame in range(DISTINCT)]
    depths = [png(walk.depth(frame, camera)) for frame in range(DISTINCT)]
    for part, images in (("lowres_wide", colors), ("lowres_depth", depths)):
        (frames / part).mkdir(parents=True)
        for place, name in enumerate(names):
            (frames / part / f"{name}.png").write_bytes(images[place % DISTINCT])
    write_cameras(frames / "lowres_wide_intrinsics", names, "256 192 212.088 212.088 127.4 98.6992\n")
    lines = [row(f"{moment + 1e-5:.8f}", camera_at(moment)) for moment in times]
    (frames / "lowres_wide.traj").write_text("\n".join(lines))
    write_boxes(home)
    return ArkitScenes.open(root)


def seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def listed_and_read(folder: Path) -> None:
    for part in sorted(folder.iterdir()):
        if part.is_dir():
            with os.scandir(part) as entries:
                sizes = {entry.name: entry.stat().st_size for entry in entries}
            for name in sizes if part.name.endswith("_intrinsics") else ():
                (part / name).read_bytes()


def inflated(scan: ArkitScan) -> None:
    for kind, mode in (("color", cv2.IMREAD_COLOR), ("depth", cv2.IMREAD_UNCHANGED)):
        for name in scan.frames.files[kind].values():
            data = (Path(str(scan.assets.folders[kind])) / name).read_bytes()
            assert cv2.imdecode(np.frombuffer(data, np.uint8), mode) is not None


def decoded(scan: ArkitScan) -> None:
    for frame in scan.frames.ids:
        scan.color(frame)
        scan.depth(frame)


def test_planning_costs_little_more_than_listing(dataset: ArkitScenes) -> None:
    folder = Path(str(dataset.homes[CAPTURE][0])) / f"{CAPTURE}_frames"
    rounds = [
        (seconds(lambda: make_plan(dataset, Recipe(), [CAPTURE])), seconds(lambda: listed_and_read(folder)))
        for _ in range(ROUNDS)
    ]
    planned, floor = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nARKitScenes: planning a capture of {IMAGES} images takes {1000 * planned:.1f} ms of CPU,")
    print(f"  {planned / floor:.1f} times listing its files and reading its cameras;")
    print(f"  {CAPTURES} captures: {CAPTURES * planned:.0f} s")
    assert planned / floor < 4
    assert CAPTURES * planned < 2 * LONGEST


def test_reading_frames_costs_what_inflating_them_does(dataset: ArkitScenes) -> None:
    with dataset.open_scan(CAPTURE) as scan:
        rounds = [(seconds(lambda: decoded(scan)), seconds(lambda: inflated(scan))) for _ in range(ROUNDS)]
    reading, floor = (statistics.median(column) for column in zip(*rounds, strict=True))
    print(f"\nARKitScenes: {1000 * reading / IMAGES:.2f} ms a frame, {floor / reading:.2f} of the decode floor")
    assert floor / reading >= 0.9
