"""The viewer's window, without one: which geometries a key shows, and where words stand on the screen."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.errors import UsageError
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.records.schema import Record
from gapdata.show.scene.exhibit import Exhibit, record_exhibit
from gapdata.show.scene.modes import MODES
from gapdata.show.scene.pieces import GROUPS, Ball, Label, Lines, Picture
from gapdata.show.viewing import Viewing
from gapdata.show.window.navigation import GROUP_KEYS, HELP, MODE_KEYS, WindowState, pressed, shown_pieces, window_title
from gapdata.show.window.plates import NEAR, Plate, in_one_picture, plate_corners
from gapdata.show.window.window import ExhibitWindow, corner_texts, head_lines, show
from tests.support.builds import write_build
from tests.support.showing import room_record

KEYS = st.sampled_from(["left", "right", *MODE_KEYS, *GROUP_KEYS, "z", "f1"])


@pytest.fixture(scope="module")
def record() -> Record:
    return room_record(3, (96, 72), aligned=True)


@pytest.fixture(scope="module")
def exhibit(record: Record) -> Exhibit:
    return record_exhibit(record)


@settings(max_examples=60, deadline=None)
@given(keys=st.lists(KEYS, max_size=12), count=st.integers(1, 5))
def test_keys_lead_to_a_state_that_depends_on_each_kind_apart(keys: list[str], count: int) -> None:
    state = WindowState()
    for key in keys:
        state = pressed(state, key, count)
    assert state.position == (keys.count("right") - keys.count("left")) % count
    modes = [MODE_KEYS[key] for key in keys if key in MODE_KEYS]
    assert state.mode == (modes[-1] if modes else "rgb")
    assert state.hidden == {group for key, group in GROUP_KEYS.items() if keys.count(key) % 2}


def test_every_mode_and_every_group_has_a_key_and_the_help_names_them() -> None:
    assert tuple(MODE_KEYS.values()) == MODES
    assert set(GROUP_KEYS.values()) == {*GROUPS, "labels"}
    assert all(f"{key} {mode}" in HELP for key, mode in MODE_KEYS.items())
    assert all(f"{key.upper()} {group}" in HELP for key, group in GROUP_KEYS.items())


def test_the_title_names_the_record_and_the_mode() -> None:
    state = WindowState(position=2, mode="error")
    assert window_title(state, "scene0000_00-clip-00000", 9) == "gapdata view: scene0000_00-clip-00000 (3 of 9), error"


def test_hiding_a_group_takes_its_pieces_and_no_others(exhibit: Exhibit) -> None:
    everything = shown_pieces(exhibit, WindowState())
    for group in GROUPS:
        kept = shown_pieces(exhibit, WindowState(hidden=frozenset({group})))
        assert set(everything) - set(kept) == {name for name in everything if name.startswith(f"{group}/")}
    mute = shown_pieces(exhibit, WindowState(hidden=frozenset({"labels"})))
    assert set(everything) - set(mute) == {name for name, piece in everything.items() if isinstance(piece, Label)}


def test_there_is_a_piece_for_every_camera_box_and_prompt_in_every_mode(record: Record, exhibit: Exhibit) -> None:
    for mode in MODES:
        pieces = shown_pieces(exhibit, WindowState(mode=mode))
        kinds = [(name.split("/")[0], type(piece)) for name, piece in pieces.items()]
        assert kinds.count(("cameras", Picture)) == len(record)
        assert kinds.count(("cameras", Lines)) == len(record) + 3
        assert kinds.count(("boxes", Lines)) == kinds.count(("boxes", Label)) == len(record.objects)
        assert kinds.count(("prompts", Ball)) == kinds.count(("prompts", Label)) == len(record.prompts)
        assert kinds.count(("room", Lines)) == 5
        assert not [kind for kind in kinds if kind[0] == "answers"]


def test_a_ray_starts_at_its_camera_and_passes_through_the_marked_pixel(record: Record, exhibit: Exhibit) -> None:
    pieces = shown_pieces(exhibit, WindowState())
    for place, prompt in enumerate(record.prompts):
        ray = pieces[f"prompts/{place} prompt {prompt.index} ray"]
        assert isinstance(ray, Lines)
        local = transform(np.linalg.inv(record.camera_to_first[prompt.frame]), ray.segments[0])
        assert np.allclose(local[0], 0.0, atol=1e-9)
        for share in (0.3, 1.0):
            assert np.allclose(record.camera(prompt.frame).project(share * local[1]), prompt.pixel, atol=0.02)


def test_without_axis_alignment_no_room_is_drawn_and_the_window_says_so() -> None:
    bare = record_exhibit(room_record(2, (64, 48)))
    assert not [name for name in shown_pieces(bare, WindowState()) if name.startswith("room/")]
    lines = [text for text, _, _ in head_lines(bare, "title", "rgb")]
    assert "no axis alignment: the room's axes are not drawn" in lines


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32 - 1))
def test_a_label_stands_on_its_point_in_its_own_pixels_from_wherever_one_looks(seed: int) -> None:
    rng = np.random.default_rng(seed)
    camera = Intrinsics(fx=700.0, fy=700.0, cx=399.5, cy=299.5, width=800, height=600)
    turn, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    pose = np.eye(4)
    pose[:3, :3] = turn * np.sign(np.linalg.det(turn))
    pose[:3, 3] = rng.normal(size=3)
    local = np.array([*rng.uniform(-0.4, 0.4, 2), 1.0]) * rng.uniform(0.5, 8.0)
    at = transform(np.linalg.inv(pose), local)
    behind = transform(np.linalg.inv(pose), -local)
    plates = [Plate(image=np.zeros((20, wide, 3), np.uint8), at=point) for wide, point in ((45, at), (30, behind))]
    plates.append(Plate(image=np.zeros((24, 40, 3), np.uint8), corner=(8, -8)))
    corners = transform(pose, plate_corners(plates, camera, pose))
    assert (corners[..., 2] > NEAR).all()
    assert corners[..., 2].max() < 0.05
    pixels = camera.project(corners)
    assert pixels[0] == pytest.approx(_rectangle(camera.project(local).round(), plates[0].image.shape), abs=0.51)
    assert np.ptp(pixels[1], axis=0) == pytest.approx([0.0, 0.0], abs=1e-6)
    high, wide = plates[2].image.shape[:2]
    assert pixels[2] == pytest.approx(_rectangle(np.array([8 + wide // 2, 600 - 8]), (high, wide, 3)), abs=0.51)
    assert corners[2, 0, 2] < corners[0, 0, 2]


def _rectangle(foot: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Corners of a picture whose lower edge stands on a pixel, clockwise from the top left."""
    high, wide = shape[:2]
    left, right, top, bottom = foot[0] - wide // 2, foot[0] - wide // 2 + wide, foot[1] - high, foot[1]
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])


def test_one_picture_holds_every_plate_where_its_texture_says(exhibit: Exhibit) -> None:
    plates = corner_texts(exhibit, "title", "error")
    image, places = in_one_picture(plates)
    height, width = image.shape[:2]
    assert len(plates) == 4
    for plate, texture in zip(plates, places, strict=True):
        left, top = np.rint(texture[0] * [width, height]).astype(int)
        right, bottom = np.rint(texture[2] * [width, height]).astype(int)
        assert np.array_equal(image[top:bottom, left:right], plate.image)


def test_a_window_without_a_display_says_what_to_use_instead(
    record: Record, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    build = write_build(tmp_path / "build", [record])
    with pytest.raises(UsageError, match=r"no display to open a window on; use --save x\.png"):
        show(Viewing(build), "rgb")


@pytest.mark.skipif(not os.environ.get("DISPLAY"), reason="needs a display")
def test_a_window_opens_and_its_keys_change_the_picture(record: Record, tmp_path: Path) -> None:
    other = room_record(2, (96, 72), orbit=1.5)
    second = Record(**{name: getattr(other, name) for name in other.__slots__} | {"key": "room0001_00-clip-00000"})
    window = ExhibitWindow(Viewing(write_build(tmp_path / "b", [record, second])), "rgb", visible=False)

    def picture() -> np.ndarray:
        window.place_plates()
        window.visualizer.poll_events()
        window.visualizer.update_renderer()
        return np.asarray(window.visualizer.capture_screen_float_buffer(True))

    try:
        pictures = [picture()]
        for key in ("2", "3", "4", "5", "l", "c", "b", "p", "g", "right"):
            window.press(key)
            pictures.append(picture())
            assert np.abs(pictures[-1] - pictures[-2]).max() > 0.1, key
        assert window.title == "gapdata view: room0001_00-clip-00000 (2 of 2), frame"
    finally:
        window.visualizer.destroy_window()
