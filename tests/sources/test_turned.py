"""A turned scan is the same scan: its pixels lie at the same points of the world, whatever the turn."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from gapdata.engine.open_scene import frame_settings
from gapdata.engine.recipe import FrameRecipe
from gapdata.geometry.camera import transform
from gapdata.geometry.registration import register_depth
from gapdata.geometry.upright import TURNS, Turn, turn_poses
from gapdata.records.prepare import FramePreparer
from gapdata.sources.base import Scan
from gapdata.sources.scannet import ScanNetDataset
from gapdata.sources.turned import TurnedScan, needed_turn, turn_upright
from tests.support.exports import write_textured_scene

FRAME = 3
SIDEWAYS: tuple[Turn, ...] = (90, 180, 270)


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scan]:
    folder = tmp_path_factory.mktemp("turned")
    write_textured_scene(folder / "scene0000_00", 6, lost=(4,))
    with ScanNetDataset.open(folder).open_scan("scene0000_00") as opened:
        yield opened


def world_points(scan: Scan) -> np.ndarray:
    """Return the points of all depth pixels of a frame in the world, sorted, (n, 3) metres."""
    depth = scan.depth(FRAME)
    rows, columns = np.nonzero(depth)
    metres = depth[rows, columns] / scan.depth_units_per_metre
    points = scan.depth_camera(FRAME).unproject(np.stack([columns, rows], axis=-1), metres)
    world = transform(scan.camera_to_world[FRAME] @ scan.depth_to_color, points)
    return np.asarray(world[np.lexsort(np.round(world, 6).T)])


@pytest.mark.parametrize("turn", SIDEWAYS)
def test_depth_lies_where_it_lay(scan: Scan, turn: Turn) -> None:
    np.testing.assert_allclose(world_points(TurnedScan(scan, turn)), world_points(scan), atol=1e-6)


@pytest.mark.parametrize("turn", SIDEWAYS)
def test_colour_and_depth_of_a_pixel_stay_together(scan: Scan, turn: Turn) -> None:
    seen = []
    for view in (scan, TurnedScan(scan, turn)):
        depth = view.depth(FRAME).astype(np.float32) / np.float32(1000)
        camera = view.color_camera(FRAME)
        registered = register_depth(depth, view.depth_camera(FRAME), camera, view.depth_to_color, view.depth_lens)
        rows, columns = np.nonzero(registered)
        points = camera.unproject(np.stack([columns, rows], axis=-1), registered[rows, columns])
        world = np.round(transform(view.camera_to_world[FRAME], points), 4)
        colors = view.color(FRAME)[rows, columns]
        seen.append({tuple(point): tuple(color) for point, color in zip(world.tolist(), colors.tolist(), strict=True)})
    shared = seen[0].keys() & seen[1].keys()
    assert len(shared) > 0.9 * len(seen[0])  # float32 rounds a few points over the last digit
    assert all(seen[0][point] == seen[1][point] for point in shared)


@pytest.mark.parametrize("turn", TURNS)
def test_a_scan_is_turned_upright_from_however_it_was_held(scan: Scan, turn: Turn) -> None:
    assert needed_turn(scan) == 0
    assert turn_upright(scan) is scan
    held = TurnedScan(scan, TURNS[-TURNS.index(turn) % 4])
    assert needed_turn(held) == turn
    upright = turn_upright(held)
    known = np.isfinite(scan.camera_to_world)
    np.testing.assert_allclose(upright.camera_to_world[known], scan.camera_to_world[known], atol=1e-12)
    assert (np.isfinite(upright.camera_to_world) == known).all()
    for frame in (0, FRAME):
        np.testing.assert_array_equal(upright.color(frame), scan.color(frame))
        np.testing.assert_array_equal(upright.color(frame, 2), scan.color(frame, 2))
        np.testing.assert_array_equal(upright.depth(frame), scan.depth(frame))
        assert upright.color_camera(frame) == scan.color_camera(frame)


def test_lost_poses_stay_lost(scan: Scan) -> None:
    assert not np.isfinite(turn_poses(scan.camera_to_world, 90)[4]).any()


def test_frames_higher_than_wide_are_stored_so_unless_the_recipe_crops_them(scan: Scan) -> None:
    portrait = TurnedScan(scan, 90)
    for recipe, size in (
        (FrameRecipe(image_size=(64, 48)), (48, 64)),
        (FrameRecipe(image_size=(64, 48), portrait="crop"), (64, 48)),
        (FrameRecipe(image_size=(48, 64)), (48, 64)),
        (FrameRecipe(image_size=(64, 64)), (64, 64)),
    ):
        assert FramePreparer(portrait, frame_settings(recipe), None).image_size == size
    frame = FramePreparer(portrait, frame_settings(FrameRecipe(image_size=(64, 48))), None).prepare(FRAME)
    assert frame.depth.shape == (64, 48)
    assert (frame.camera.width, frame.camera.height) == (48, 64)
