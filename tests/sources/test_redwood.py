"""Real images: five posed frames of Redwood's living room, wrapped in a .sens, become pointmaps that agree."""

from __future__ import annotations

from itertools import combinations, permutations
from pathlib import Path

import cv2
import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.consistency import compare_surfaces, sample_surface
from gapdata.shards.reader import ShardReader
from gapdata.sources.sens import SensReader
from gapdata.synthetic.sens_writer import SensWriter
from tests.support.reprojection import reprojection_distances

CAMERA = Intrinsics(fx=525.0, fy=525.0, cx=319.5, cy=239.5, width=640, height=480)


@pytest.fixture(scope="module")
def dataset(samples: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = samples / "redwood-rgbd"
    root = tmp_path_factory.mktemp("redwood")
    scene = root / "scans" / "scene0000_00"
    scene.mkdir(parents=True)
    lines = (folder / "trajectory.log").read_text().splitlines()
    with SensWriter(scene / "scene0000_00.sens", color_intrinsics=CAMERA, depth_intrinsics=CAMERA) as writer:
        for frame in range(5):
            writer.write(
                color=(folder / "color" / f"{frame:05d}.jpg").read_bytes(),
                depth=cv2.imread(str(folder / "depth" / f"{frame:05d}.png"), cv2.IMREAD_UNCHANGED),
                camera_to_world=np.loadtxt(lines[5 * frame + 1 : 5 * frame + 5]),
            )
    return root


@pytest.fixture(scope="module")
def build(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("build") / "shards"
    clip = ["clips.frames=5", "clips.interval=1", "clips.max_shift=0", "scene_views.enabled=false"]
    settings = [part for override in clip for part in ("--set", override)]
    assert main(["build-shards", "--scannet", str(dataset), "--out", str(out), *settings, "--executor", "inline"]) == 0
    return out


def test_the_jpeg_bytes_are_untouched(samples: Path, dataset: Path) -> None:
    with SensReader(dataset / "scans" / "scene0000_00" / "scene0000_00.sens") as sens:
        for frame in range(5):
            assert sens.color_bytes(frame) == (samples / "redwood-rgbd" / "color" / f"{frame:05d}.jpg").read_bytes()


def test_the_pointmaps_of_all_pairs_of_frames_agree_where_they_overlap(build: Path) -> None:
    record = ShardReader(build)[0]
    assert record.frame_ids == (0, 1, 2, 3, 4)
    points, cameras = record.pointmap(), record.cameras
    for one, other in permutations(range(5), 2):
        distances = reprojection_distances(points[one], points[other], cameras[other], record.camera_to_first[other])
        assert len(distances) > 0.5 * points[0, ..., 0].size
        assert np.median(distances) < 0.015


def test_the_quality_figures_find_the_real_frames_well_posed(build: Path) -> None:
    record = ShardReader(build)[0]
    depth = [np.rint(1000 * record.depth(frame)).astype(np.uint16) for frame in range(5)]
    surfaces = [sample_surface(depth[frame], record.camera(frame)) for frame in range(5)]
    poses = record.camera_to_world
    for one, other in combinations(range(5), 2):
        agreement = compare_surfaces(surfaces[one], surfaces[other], np.linalg.inv(poses[other]) @ poses[one])
        assert agreement.overlap > 0.5
        assert agreement.reprojection_error < 0.01
        assert agreement.misalignment < 0.02
        assert agreement.free_space < 0.01


def test_the_frames_agree_in_colour_too(build: Path) -> None:
    """Points of one frame land on pixels of another that look alike, so depth and poses belong to the images."""
    record = ShardReader(build)[0]
    points, camera = record.pointmap(), record.camera(4)
    first_to_other = np.linalg.inv(record.camera_to_first[4])
    pixels = camera.project(points[0] @ first_to_other[:3, :3].T + first_to_other[:3, 3])
    inside = np.isfinite(pixels).all(-1) & (pixels > 0).all(-1) & (pixels < [511, 383]).all(-1)
    u, v = pixels[inside].round().astype(int).T
    difference = np.abs(record.image(4)[v, u].astype(int) - record.image(0)[inside].astype(int))
    assert np.median(difference) < 4


def test_a_scan_without_annotation_gives_geometry_without_prompts(build: Path) -> None:
    record = ShardReader(build)[0]
    assert record.prompts == ()
    assert record.objects == ()
    assert record.axis_alignment is None
    assert not any(name.endswith("instance.png") for name in record.members)
    assert not any(record.prompt_mask(frame).any() for frame in range(len(record)))
