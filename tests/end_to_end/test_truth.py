"""Stored records agree with what the ray caster that made the scans knows, and can be read without this package."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.synthetic.scene import build_scene
from tests.support.synthetic_truth import Truth, render_truth, scene_index

pytestmark = pytest.mark.slow

FRAMES = 50
OVERRIDES = ["clips.frames=3", "clips.interval=12", "clips.step=12", "scene_views.frames=4"]


def build(root: Path, options: SynthesisOptions, size: tuple[int, int]) -> Path:
    synthesise_dataset(root / "in", options, workers=1)
    settings = [*OVERRIDES, f"frames.image_size=[{size[0]},{size[1]}]"]
    overrides = [part for setting in settings for part in ("--set", setting)]
    assert (
        main(
            [
                "build-shards",
                "--scannet",
                str(root / "in"),
                "--out",
                str(root / "out"),
                *overrides,
                "--executor",
                "inline",
            ]
        )
        == 0
    )
    return root / "out"


def truths(record: Record, options: SynthesisOptions) -> list[Truth]:
    """What each stored frame's camera truly sees."""
    scene = build_scene(options.seed, scene_index(record.scene_id))
    return [
        render_truth(record.scene_id, options, frame, record.camera(position), scene=scene)
        for position, frame in enumerate(record.frame_ids)
    ]


def in_first_camera(record: Record, truth: Truth) -> NDArray[np.float64]:
    return transform(np.linalg.inv(record.camera_to_world[0]), truth.points.astype(np.float64))


SHARED = SynthesisOptions(scenes=1, frames=FRAMES, seed=3, depth_size=(256, 192), noise=0.0, shared_camera=True)
APART = SynthesisOptions(scenes=1, frames=FRAMES, seed=3, color_size=(324, 242), depth_size=(320, 240), noise=0.0)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    return ShardReader(build(tmp_path_factory.mktemp("shared"), SHARED, (256, 192)))


@pytest.fixture(scope="module")
def apart(tmp_path_factory: pytest.TempPathFactory) -> ShardReader:
    return ShardReader(build(tmp_path_factory.mktemp("apart"), APART, (256, 192)))


def test_on_a_shared_grid_every_valid_pixel_is_the_ray_casters_hit(shared: ShardReader) -> None:
    record = shared[0]
    points = record.pointmap()
    for stored, truth in zip(points, truths(record, SHARED), strict=True):
        valid = np.isfinite(stored[..., 0])
        assert valid.mean() > 0.5
        distance = np.linalg.norm(stored - in_first_camera(record, truth), axis=-1)[valid]
        assert distance.max() < 0.0015


def test_with_their_own_cameras_the_error_stays_millimetres_away_from_edges(apart: ShardReader) -> None:
    record = apart[0]
    points, errors = record.pointmap(), []
    for position, (stored, truth) in enumerate(zip(points, truths(record, APART), strict=True)):
        local = transform(np.linalg.inv(record.camera_to_world[position]), truth.points.astype(np.float64))
        depth = np.nan_to_num(local[..., 2]).astype(np.float32)
        away = ~near_an_edge(depth)
        keep = away & np.isfinite(stored[..., 0])
        assert keep.sum() > 0.3 * away.sum()
        errors.append(np.linalg.norm(stored - in_first_camera(record, truth), axis=-1)[keep])
    error = np.concatenate(errors)
    assert np.median(error) < 0.0015
    assert np.quantile(error, 0.99) < 0.010


def near_an_edge(depth: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Pixels less than two away from one where true depth spans more than 5 cm or 3% among its neighbours."""
    window = np.ones((3, 3), np.uint8)
    span = cv2.dilate(depth, window) - cv2.erode(depth, window)
    jump = (span > np.maximum(0.05, 0.03 * depth)) | (depth <= 0)
    return cv2.dilate(jump.astype(np.uint8), window, iterations=2) > 0


def test_the_instance_at_a_prompt_is_the_object_that_is_truly_there(shared: ShardReader, apart: ShardReader) -> None:
    asked = 0
    for reader, options in ((shared, SHARED), (apart, APART)):
        record = reader[0]
        seen = truths(record, options)
        for prompt in record.prompts:
            u, v = prompt.pixel
            assert seen[prompt.frame].object_ids[v, u] == prompt.object_id
            asked += 1
    assert asked > 10


def test_instance_masks_agree_with_what_is_truly_visible(apart: ShardReader) -> None:
    record = apart[0]
    for position, truth in enumerate(truths(record, APART)):
        mask = record.instances(position).astype(int) - 1
        known = record.depth(position) > 0
        assert (mask == truth.object_ids)[known].mean() > 0.97


def test_boxes_contain_the_visible_surface_of_their_objects(apart: ShardReader) -> None:
    record = apart[0]
    points = record.pointmap()
    for item in record.objects:
        mask = np.stack([record.instances(position) == item.object_id + 1 for position in range(len(record))])
        surface = points[mask & np.isfinite(points[..., 0])]
        if len(surface) < 50 or item.label in ("wall", "floor", "ceiling"):
            continue
        local = (surface - np.array(item.center)) @ np.array(item.rotation)
        outside = (np.abs(local) > np.array(item.size) / 2 + 0.06).any(axis=1)
        assert outside.mean() < 0.03, item.label


TARFILE_READER = """
import io, json, sys, tarfile
import cv2, numpy as np
tar = tarfile.open(sys.argv[1])
files = {info.name: tar.extractfile(info).read() for info in tar.getmembers()}
key = next(name for name in files if name.endswith(".json")).removesuffix(".json")
record = json.loads(files[key + ".json"])
prompt = record["prompts"][0]
frame = prompt["frame"]
image = cv2.imdecode(np.frombuffer(files[f"{key}.{frame:02d}.jpg"], np.uint8), cv2.IMREAD_COLOR)
depth = cv2.imdecode(np.frombuffer(files[f"{key}.{frame:02d}.depth.png"], np.uint8), cv2.IMREAD_UNCHANGED) / 1000
mask = cv2.imdecode(np.frombuffer(files[f"{key}.{frame:02d}.instance.png"], np.uint8), cv2.IMREAD_UNCHANGED)
marks = cv2.imdecode(np.frombuffer(files[f"{key}.{frame:02d}.prompt.png"], np.uint8), cv2.IMREAD_UNCHANGED)
assert image.shape[1::-1] == tuple(record["image_size"]) and depth.shape == mask.shape == image.shape[:2]
(u, v), (fx, fy, cx, cy) = prompt["pixel"], record["intrinsics"][frame]
local = np.array([(u - cx) / fx * depth[v, u], (v - cy) / fy * depth[v, u], depth[v, u], 1])
point = np.array(record["camera_to_first"][frame]) @ local
assert np.abs(point[:3] - prompt["point"]).max() < 1e-3, (point, prompt)
assert mask[v, u] == prompt["object_id"] + 1 and marks[v, u] == prompt["index"]
pointmap = np.load(io.BytesIO(files[key + ".pointmap.npy"]), allow_pickle=False)
stride = record["image_size"][0] // pointmap.shape[2]
i, j = 3, 5
row, column = i * stride + stride // 2, j * stride + stride // 2
first = cv2.imdecode(np.frombuffer(files[key + ".00.depth.png"], np.uint8), cv2.IMREAD_UNCHANGED)[row, column] / 1000
fx, fy, cx, cy = record["intrinsics"][0]
expected = np.array([(column - cx) / fx * first, (row - cy) / fy * first, first])
assert np.isnan(pointmap[0, i, j]).all() if first == 0 else np.allclose(pointmap[0, i, j], expected, atol=1e-4)
assert "gapdata" not in sys.modules
print("read", len(files))
"""

WEBDATASET_READER = """
import sys
import webdataset as wds
samples = list(wds.WebDataset(sys.argv[1], shardshuffle=False).decode("rgb8"))
for sample in samples:
    frames = len(sample["json"]["frame_ids"])
    for frame in range(frames):
        assert sample[f"{frame:02d}.jpg"].shape == (192, 256, 3)
        assert f"{frame:02d}.depth.png" in sample
    assert sample["pointmap.npy"].shape == (frames, 24, 32, 3)
assert "gapdata" not in sys.modules
print("read", len(samples))
"""


@pytest.mark.parametrize("code", [TARFILE_READER, WEBDATASET_READER], ids=["tarfile", "webdataset"])
def test_a_shard_is_read_without_this_package(apart: ShardReader, code: str) -> None:
    assert isinstance(apart.build, Path)
    tar = apart.build / "shard-000000.tar"
    result = subprocess.run([sys.executable, "-c", code, str(tar)], capture_output=True, text=True, cwd=tar.parent)
    assert result.returncode == 0, result.stderr
    assert result.stdout.startswith("read ")
