"""The viewer: the fused cloud agrees with the room it shows, and the files and windows made from it hold it."""

from __future__ import annotations

import dataclasses

import cv2
import numpy as np
import pytest

from gapdata.errors import ShardError
from gapdata.geometry.camera import transform
from gapdata.records.schema import Record
from gapdata.show.scene.cloud import fuse
from gapdata.show.scene.exhibit import Exhibit, record_exhibit
from gapdata.show.scene.palette import prompt_color
from gapdata.show.scene.pieces import Lines, exhibit_pieces
from gapdata.show.scene.room import room_frame
from gapdata.show.scene.surfaces import continued_pixels
from gapdata.show.sheet.parts import chosen_frames, frame_strip, prompt_table
from gapdata.show.sheet.render import SUPERSAMPLING, render_splats
from gapdata.show.sheet.sheet import INNER, exhibit_sheet
from gapdata.show.sheet.viewpoint import Viewpoint, viewpoints
from tests.support.showing import FURNITURE, ROOM, room_record

SMALL = (128, 96)


@pytest.fixture(scope="module")
def record() -> Record:
    return room_record(4, (256, 192))


def first_to_true_room(record: Record) -> np.ndarray:
    """The fixture's aligned world is the room's own axes."""
    aligned = room_record(len(record), SMALL, aligned=True).axis_alignment
    assert aligned is not None
    return aligned @ record.camera_to_world[0]


def sheet_of(record: Record) -> np.ndarray:
    exhibit = record_exhibit(record, max_points=60_000, drop_flying=True)
    return exhibit_sheet(exhibit, [*frame_strip(record, INNER), prompt_table(record, INNER)])


def segments(exhibit: Exhibit, group: str, name: str) -> np.ndarray:
    """The ends of some lines that are drawn, (S, 2, 3) metres, shown frame."""
    piece = exhibit_pieces(exhibit)[group][name]
    assert isinstance(piece, Lines)
    return piece.segments


def own_view(record: Record, frame: int) -> Viewpoint:
    """The virtual camera that stands where a frame was taken."""
    pose = np.linalg.inv(record.camera_to_first[frame])
    return Viewpoint(title="own", camera=record.camera(frame), shown_to_view=pose)


def test_the_cloud_holds_every_valid_pixel_where_the_pointmap_puts_it(record: Record) -> None:
    cloud = fuse(record)
    pointmap = record.pointmap()
    valid = np.isfinite(pointmap).all(axis=-1)
    assert np.array_equal(cloud.points, pointmap[valid])
    assert np.array_equal(np.bincount(cloud.frames), valid.sum(axis=(1, 2)))


def test_every_point_lies_on_the_surface_of_its_object(record: Record) -> None:
    cloud = fuse(record)
    points = transform(first_to_true_room(record), cloud.points.astype(np.float64))
    for index, (_, center, size, _) in enumerate(FURNITURE):
        local = np.abs(points[cloud.instances == index + 1] - np.array(center)) / (np.array(size) / 2)
        assert len(local) > 100
        assert np.abs(local.max(axis=1) - 1.0).max() < 0.02
    walls = points[cloud.instances == 0]
    assert np.minimum(np.abs(walls - ROOM[0]), np.abs(walls - ROOM[1])).min(axis=1).max() < 0.005


def test_normals_are_those_of_the_room_and_face_the_camera_that_saw_them(record: Record) -> None:
    cloud = fuse(record)
    centres = record.camera_to_first[cloud.frames, :3, 3]
    assert (np.einsum("nc,nc->n", cloud.normals, centres - cloud.points) > -0.05).mean() > 0.999
    along_axes = np.abs(cloud.normals @ first_to_true_room(record)[:3, :3].T.astype(np.float32)).max(axis=1)
    assert (along_axes > 0.95).mean() > 0.9


def test_thinning_bounds_the_density_and_keeps_the_surface(record: Record) -> None:
    cloud = fuse(record)
    thinned = cloud.thinned(0.05)
    assert 100 < len(thinned) < len(cloud) / 4
    cells = np.floor((thinned.points - cloud.points.min(axis=0)) / 0.05).astype(int)
    assert len(np.unique(cells, axis=0)) >= 0.98 * len(cells)
    gaps = np.linalg.norm(cloud.points[::200, None] - thinned.points[None], axis=2).min(axis=1)
    assert gaps.max() < 0.05 * np.sqrt(3)


def test_a_limit_on_points_subsamples_the_pixel_grid(record: Record) -> None:
    limited = fuse(record, max_points=30_000)
    assert 15_000 < len(limited) <= 30_000
    whole = {tuple(point) for point in fuse(record).points.tolist()}
    assert {tuple(point) for point in limited.points.tolist()} <= whole


def test_pixels_that_hang_between_two_surfaces_are_told_from_slanted_ones() -> None:
    depth = np.full((40, 60), 2.0, dtype=np.float32)
    depth[:, 30:] = 1.0
    depth[:, 30] = 1.5  # hangs between
    v = np.arange(40, dtype=np.float32)[:, None]
    slanted = np.repeat(1.2 / (0.2 + v / 40.0), 60, axis=1).astype(np.float32)  # a steep plane: 1 / depth is linear
    kept = continued_pixels(depth)
    assert not kept[:, 30].any()
    assert kept[:, :30].all()
    assert kept[:, 31:].all()
    assert continued_pixels(slanted).all()
    assert not continued_pixels(np.zeros((8, 8), dtype=np.float32)).any()


@pytest.mark.parametrize("aligned", [False, True])
def test_the_room_frame_stands_on_the_floor_with_walls_along_its_axes(record: Record, aligned: bool) -> None:
    shown = room_record(4, SMALL, aligned=aligned)
    room = room_frame(shown, fuse(shown))
    truth = first_to_true_room(shown)
    turn = room[:3, :3] @ truth[:3, :3].T
    assert turn[2, 2] > np.cos(np.radians(1.5))
    assert np.abs(turn[:2, :2]).max() > np.cos(np.radians(2.0))
    height = transform(room, np.zeros(3))[2]
    assert height == pytest.approx(1.55, abs=0.05)


def test_a_cloud_drawn_from_its_own_camera_repeats_the_frame(record: Record) -> None:
    for frame in (0, 2):
        cloud = fuse(record).select(fuse(record).frames == frame)
        _, rendered = render_splats(cloud, own_view(record, frame))
        step = SUPERSAMPLING
        depth = rendered.reshape(192, step, 256, step).min(axis=(1, 3))
        truth = np.linalg.inv(record.camera_to_first[frame])
        expected = transform(truth, record.pointmap()[frame].astype(np.float64))[..., 2]
        assert np.isfinite(rendered).mean() > 0.995
        assert np.median(np.abs(depth - expected)) < 0.005
        assert (np.abs(depth - expected) < 0.05).mean() > 0.97


def test_surfaces_seen_from_behind_are_left_out_only_when_asked(record: Record) -> None:
    cloud = fuse(record)
    behind = np.diag([-1.0, 1.0, -1.0, 1.0])
    behind[2, 3] = 9.0  # looks back at the scene from beyond the far wall
    view = Viewpoint(title="back", camera=record.camera(0), shown_to_view=behind)
    culled = np.isfinite(render_splats(cloud, view)[1]).mean()
    assert culled < 0.5 * np.isfinite(render_splats(cloud, view, cull=False)[1]).mean()


def test_every_viewpoint_has_the_whole_cloud_and_the_cameras_in_its_picture(record: Record) -> None:
    exhibit = record_exhibit(record)
    cloud, extras = exhibit.cloud, record.camera_to_first[:, :3, 3]
    sizes = {"behind": (400, 300), "above": (300, 200), "side": (300, 200), "opposite": (300, 200)}
    for name, view in viewpoints(exhibit, sizes, extras[:1]).items():
        pixels, z = view.project(np.concatenate([cloud.points.astype(np.float64), extras]))
        inside = ((pixels >= -0.5) & (pixels < np.array(sizes[name]) - 0.5)).all(axis=-1) & (z > 0)
        assert inside.mean() > 0.99, name
        assert inside[-len(extras) :].all(), name


def test_frustums_and_boxes_outline_what_they_stand_for(record: Record) -> None:
    exhibit = record_exhibit(record)
    pixels, z = own_view(record, 1).project(segments(exhibit, "cameras", f"1 frame {record.frame_ids[1]}")[4:])
    assert np.allclose(z, exhibit.frustum_depth)
    assert sorted({round(value, 6) for value in pixels[..., 0].ravel()}) == [-0.5, 255.5]
    largest = sorted(record.objects, key=lambda item: -sum(item.visible_pixels))
    for place, item in enumerate(largest):
        edges = segments(exhibit, "boxes", f"{place} {item.label} box")
        lengths = np.sort(np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1))
        assert np.allclose(lengths, np.sort(np.repeat(item.size, 4)))
        inside = fuse(record).points[fuse(record).instances == item.object_id + 1]
        local = np.abs((inside - np.array(item.center)) @ np.array(item.rotation)) / np.array(item.size)
        assert local.max() < 0.51


def test_the_sheet_shows_surfaces_and_is_deterministic(record: Record) -> None:
    sheet = sheet_of(record)
    assert sheet.shape[1:] == (2000, 3)
    assert 1200 < sheet.shape[0] < 2600
    assert np.array_equal(sheet, sheet_of(record))
    panel = sheet[140:800, 28:980].astype(int)
    assert (panel.max(axis=-1) - panel.min(axis=-1) > 30).mean() > 0.15


def test_every_prompt_has_one_colour_in_the_cloud_in_its_frame_and_in_the_table(record: Record) -> None:
    colors = [prompt_color(index) for index in range(1, 40)]
    assert len(set(colors)) == len(colors)
    strip, table = np.concatenate(frame_strip(record, INNER)), prompt_table(record, INNER)
    shown = {point.number: point.color for point in record_exhibit(record, max_points=5_000).points}
    for prompt in record.prompts:
        color = prompt_color(prompt.index)
        assert shown[prompt.index] == color
        for picture in (strip, table):
            assert (picture == color).all(axis=-1).sum() > 60, prompt.index


def test_a_sheet_of_many_frames_shows_the_first_and_those_with_prompts() -> None:
    scene = room_record(32, (64, 48), orbit=5.8)
    shown = chosen_frames(scene)
    assert len(shown) == 10
    assert {0, *(prompt.frame for prompt in scene.prompts)} <= set(shown)
    assert sheet_of(scene).shape[1] == 2000


def test_a_record_without_depth_or_prompts_or_objects_still_gives_a_sheet() -> None:
    bare = room_record(1, SMALL)
    empty = cv2.imencode(".png", np.zeros((SMALL[1], SMALL[0]), dtype=np.uint16))[1].tobytes()
    members = {"00.jpg": bare.members["00.jpg"], "00.depth.png": empty}
    assert sheet_of(dataclasses.replace(bare, prompts=(), objects=(), members=members)).shape[1] == 2000


def test_the_room_is_drawn_from_the_axis_alignment_alone(record: Record) -> None:
    bare = record_exhibit(record, max_points=20_000)
    assert exhibit_pieces(bare)["room"] == {}
    assert bare.notes == ("no axis alignment: the room's axes are not drawn",)
    shown = record_exhibit(room_record(4, SMALL, aligned=True))
    assert shown.notes == ()
    to_room = first_to_true_room(room_record(4, SMALL))
    lines = transform(to_room, segments(shown, "room", "grid"))
    assert np.allclose(lines[..., 2], 0.0, atol=0.02)
    along = np.abs(lines[:, 1] - lines[:, 0])
    assert np.allclose(along.min(axis=1), 0.0, atol=1e-9)
    assert np.allclose(lines[..., :2], np.rint(lines[..., :2]), atol=1e-9)
    for axis, name in enumerate(("room x", "room y", "room z")):
        ends = transform(to_room, segments(shown, "room", name)[0])
        assert np.allclose(ends[1] - ends[0], np.eye(3)[axis], atol=1e-9)


def test_a_damaged_member_is_named(record: Record) -> None:
    damaged = dataclasses.replace(record, members={**record.members, "01.jpg": b"not an image"})
    with pytest.raises(ShardError, match=r"01\.jpg"):
        record_exhibit(damaged)
