"""The viewer's colour modes: what they measure is what happened to the record, and the colours say so."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from gapdata.geometry.camera import Intrinsics, relative_poses
from gapdata.geometry.consistency import compare_surfaces, sample_surface, surface_distances
from gapdata.records.schema import Record
from gapdata.show.scene.cloud import fuse, with_error
from gapdata.show.scene.coloring import UNSEEN, error_colors, error_maps, frame_maps, legend, point_colors
from gapdata.show.scene.modes import MEANING, MODES
from gapdata.show.scene.palette import frame_color, object_color
from gapdata.show.scene.surfaces import EDGE, GRAZED, HOLE, OUTSIDE, SURFACE, camera_normals, pixel_validity
from tests.support.showing import room_record

SHIFT = 0.03


@pytest.fixture(scope="module")
def record() -> Record:
    return room_record(4, (160, 120))


def with_frame_moved(record: Record, frame: int, up: float) -> Record:
    """A pose that is wrong by ``up`` metres along the vertical of the world."""
    poses = record.camera_to_world.copy()
    poses[frame, 2, 3] += up
    return dataclasses.replace(record, camera_to_world=poses, camera_to_first=relative_poses(poses))


def test_true_poses_disagree_by_no_more_than_millimetres_of_rounding(record: Record) -> None:
    error = with_error(record, fuse(record)).error
    assert np.isfinite(error).mean() > 0.8
    # A sample is compared with the plane of the pixel that it falls into, whose depth is rounded to millimetres.
    assert np.nanmedian(error) < 0.002
    assert np.nanpercentile(error, 90) < 0.01


def test_a_frame_that_is_too_high_makes_the_floor_disagree_by_as_much(record: Record) -> None:
    moved = with_frame_moved(record, 2, SHIFT)
    cloud = with_error(moved, fuse(moved))
    up = moved.camera_to_world[0, :3, :3].T @ [0.0, 0.0, 1.0]
    floor = np.abs(cloud.normals @ up) > 0.99
    assert np.nanmedian(cloud.error[floor & (cloud.frames == 2)]) == pytest.approx(SHIFT, abs=0.003)
    # Its neighbours are right with all others, two or three, but it.
    assert SHIFT / 3 - 0.003 < np.nanmedian(cloud.error[floor & (cloud.frames == 1)]) < SHIFT / 2 + 0.003


def test_the_distances_of_samples_are_those_whose_median_is_the_reprojection_error(record: Record) -> None:
    moved = with_frame_moved(record, 1, SHIFT)
    surfaces = [
        sample_surface(np.rint(moved.depth(frame) * 1000).astype(np.uint16), moved.camera(frame)) for frame in (0, 1)
    ]
    to_second = np.linalg.inv(moved.camera_to_first[1])
    both = [
        surface_distances(surfaces[0], surfaces[1], to_second),
        surface_distances(surfaces[1], surfaces[0], np.linalg.inv(to_second)),
    ]
    agreement = compare_surfaces(surfaces[0], surfaces[1], to_second)
    seen = np.concatenate([found[np.isfinite(found)] for found in both])
    assert len(seen) / sum(map(len, both)) == pytest.approx(agreement.overlap)
    assert np.median(seen) == pytest.approx(agreement.reprojection_error, abs=1e-4)


def test_a_single_frame_has_nothing_to_disagree_with() -> None:
    alone = room_record(1, (64, 48))
    cloud = with_error(alone, fuse(alone))
    assert np.isnan(cloud.error).all()
    assert (point_colors(cloud, "error", (0,)) == UNSEEN).all()


def test_the_map_of_a_frame_shows_what_its_points_show(record: Record) -> None:
    moved = with_frame_moved(record, 2, SHIFT)
    cloud = with_error(moved, fuse(moved))
    (found,) = error_maps(moved, [3], stride=1).values()
    valid = moved.depth(3) > 0
    assert np.array_equal(found[valid], cloud.error[cloud.frames == 3], equal_nan=True)
    assert np.isnan(found[~valid]).all()


def test_validity_tells_edges_holes_and_slanted_surfaces_apart() -> None:
    camera = Intrinsics(fx=200.0, fy=200.0, cx=79.5, cy=59.5, width=160, height=120)
    depth = np.full((120, 160), 2.0, dtype=np.float32)
    depth[:, 80:] = 1.0
    depth[:, 80] = 1.5  # hangs between the two
    depth[20:30, 20:30] = 0  # other frames have depth here
    depth[:, :6] = 0  # no frame has
    v = np.arange(120, dtype=np.float32)[:, None]
    covered = np.ones((120, 160), dtype=bool)
    covered[:, :6] = False
    found = pixel_validity(depth, camera, camera_normals(depth, camera), covered)
    assert (found[:, 80] == EDGE).all()
    assert (found[22:28, 22:28] == HOLE).all()
    assert (found[:, :5] == OUTSIDE).all()
    assert (found[40:110, 20:70] == SURFACE).all()
    low = Intrinsics(fx=200.0, fy=200.0, cx=79.5, cy=-10.0, width=160, height=120)
    floor = np.repeat(0.5 * 200.0 / (v + 10.0), 160, axis=1).astype(np.float32)  # half a metre below the eye
    slant = pixel_validity(floor, low, camera_normals(floor, low))[:, 60:100]
    # The surface is seen at less than 15 degrees above row 200 tan(15 degrees) - 10 = 43.6.
    assert (slant[5:38] == GRAZED).all()
    assert (slant[50:115] == SURFACE).all()


def test_each_mode_colours_points_by_what_it_names(record: Record) -> None:
    cloud = with_error(record, fuse(record, max_points=20_000))
    order = tuple(range(len(record)))
    colors = {mode: point_colors(cloud, mode, order) for mode in MODES}
    assert all(value.shape == (len(cloud), 3) and value.dtype == np.uint8 for value in colors.values())
    assert np.array_equal(colors["rgb"], cloud.colors)
    for frame in order:
        assert (colors["frame"][cloud.frames == frame] == frame_color(frame, len(record))).all()
    for value in np.unique(cloud.instances)[1:]:
        part = cloud.instances == value
        tint = 0.7 * np.array(object_color(int(value) - 1)) + 0.3 * cloud.colors[part]
        assert np.abs(colors["instance"][part] - tint).max() <= 1
    assert len(np.unique(colors["validity"], axis=0)) == len(np.unique(cloud.validity))


def test_frames_are_coloured_by_their_order_whatever_their_numbers(record: Record) -> None:
    cloud = fuse(record, max_points=5_000)
    ids = np.array([7, 300, 40_000, 90_001], dtype=np.uint32)
    renamed = dataclasses.replace(cloud, frames=ids[cloud.frames])
    assert np.array_equal(point_colors(renamed, "frame", tuple(ids.tolist())), point_colors(cloud, "frame", range(4)))


def test_the_error_scale_runs_from_blue_to_red_and_ends_at_its_figure() -> None:
    end = 0.05
    colors = error_colors(np.array([0.0, end, 10 * end, np.nan], dtype=np.float32)).astype(int)
    assert legend("error", ())[-1] == ("5 cm and more", tuple(colors[1]))
    assert colors[0][2] > colors[0][0] + 60
    assert colors[1][0] > colors[1][2] + 60
    assert np.array_equal(colors[1], colors[2])
    assert tuple(colors[3]) == UNSEEN
    assert error_colors(np.zeros((0, 5), dtype=np.float32)).shape == (0, 5, 3)


@pytest.mark.parametrize("mode", MODES)
def test_every_mode_has_a_map_of_each_frame_and_says_what_its_colours_mean(record: Record, mode: str) -> None:
    maps = frame_maps(record, [0, 2], mode, 0.5, 4.0)
    assert list(maps) == [0, 2]
    assert all(image.dtype == np.uint8 and image.shape[2] == 3 for image in maps.values())
    assert (mode in ("rgb", "instance")) == (legend(mode, record.frame_ids) == ())
    assert MEANING[mode]
