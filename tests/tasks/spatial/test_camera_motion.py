"""Turns and steps of the camera are those of its definition, and turns of several meanings are not asked about."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.records.schema import Record
from gapdata.tasks.spatial.camera_motion import LEAST_TURN, motion, other_order, roll
from gapdata.tasks.spatial.kind import ask
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import make_record

AHEAD, BEHIND, ASIDE, ABOVE = (0.0, 0.0, 0.4), (0.0, 0.0, -1.1), (0.5, 0.0, 0.0), (0.0, -0.7, 0.0)
"""Steps of a camera: right, down, ahead, metres."""


def turned(yaw: float = 0.0, pitch: float = 0.0, rolled: float = 0.0) -> np.ndarray:
    """The pose of a camera that turns right, then up, then about its axis, by degrees."""
    y, p, r = np.radians([yaw, pitch, rolled])
    right = np.array([[np.cos(y), 0, np.sin(y)], [0, 1, 0], [-np.sin(y), 0, np.cos(y)]])
    up = np.array([[1, 0, 0], [0, np.cos(p), -np.sin(p)], [0, np.sin(p), np.cos(p)]])
    about = np.array([[np.cos(r), -np.sin(r), 0], [np.sin(r), np.cos(r), 0], [0, 0, 1]])
    pose = np.eye(4)
    pose[:3, :3] = right @ up @ about
    return pose


def clip(second: np.ndarray) -> ViewFacts:
    return ViewFacts(two_frames(second), QuestionOptions())


def two_frames(second: np.ndarray) -> Record:
    poses = np.stack([np.eye(4), second])
    return make_record(camera_to_world=poses, camera_to_first=poses)


def asked(facts: ViewFacts, kind: str) -> list[SpatialQuestion]:
    found = [ask(KINDS[kind], facts, 9, np.random.default_rng(seed))[0] for seed in range(60)]
    return [item for items in found for item in items]


@given(st.floats(-170, 170), st.floats(-80, 80), st.floats(-60, 60))
def test_yaw_pitch_and_roll_are_those_that_the_camera_was_turned_by(yaw: float, pitch: float, rolled: float) -> None:
    pose = turned(yaw, pitch, rolled)
    _, turn = motion(clip(pose), 0, 1)
    np.testing.assert_allclose(turn, [yaw, pitch], atol=1e-6)
    assert abs(roll(pose)) == pytest.approx(abs(rolled), abs=1e-6)
    if abs(pitch) < 1e-9:
        assert other_order(pose) == pytest.approx([yaw, 0], abs=1e-3)


@pytest.mark.parametrize(
    ("yaw", "pitch", "rolled", "forms"),
    [
        (30, 0, 0, {"right"}),
        (-30, 5, 10, {"right"}),
        (0, 20, 0, {"up"}),
        (LEAST_TURN - 0.5, 0, 0, set()),
        (LEAST_TURN + 0.5, 0, 0, {"right"}),
        (40, 35, 0, set()),  # were the pitch first, it would be 42 degrees, and the yaw 32
        (5, -20, 0, {"up"}),
        (30, 0, 40, set()),
        (130, 0, 0, set()),
    ],
)
def test_turns_are_asked_about_where_they_have_one_meaning(
    yaw: float, pitch: float, rolled: float, forms: set[str]
) -> None:
    found = [item for item in asked(clip(turned(yaw, pitch, rolled)), "camera_motion") if item.frames == (0, 1)]
    assert {item.form for item in found} <= {"turn"}
    assert {way for item in found for way in ("right", "up") if f"turn {way}" in item.text} == forms
    for item in found:
        assert item.value == pytest.approx(yaw if "turn right" in item.text else pitch)


@pytest.mark.parametrize(
    ("step", "answer"),
    [
        ((0.0, 0.0, 0.5), "forward"),
        ((-0.5, 0.0, 0.2), "left"),
        ((0.0, 0.5, 0.1), "down"),
        ((0.0, -0.5, 0.1), "up"),
        ((0.3, 0.0, 0.21), None),  # less than one and a half times the next
        ((0.3, 0.0, 0.19), "right"),
        ((0.14, 0.0, 0.0), None),
    ],
)
def test_the_direction_of_a_step_is_asked_about_where_one_axis_dominates(
    step: tuple[float, float, float], answer: str | None
) -> None:
    far = [(0.0, 0.0, 9.0), (0.0, 0.0, -9.0)]  # so that pairs in this order have other answers, too
    found = [item for item in asked(way_of([(0.0, 0.0, 0.0), step, *far]), "camera_direction") if item.frames == (0, 1)]
    assert {item.options[LETTERS.index(item.answer)] for item in found} == ({answer} if answer else set())


def way_of(places: Sequence[tuple[float, float, float]]) -> ViewFacts:
    """The facts about a camera that looks ahead all the way, and comes to these places: right, down, ahead."""
    poses = np.tile(np.eye(4), (len(places), 1, 1))
    poses[:, :3, 3] = places
    intrinsics = np.tile([50.0, 50.0, 31.5, 23.5], (len(places), 1))
    frames = tuple(range(len(places)))
    record = make_record(camera_to_world=poses, camera_to_first=poses, frame_ids=frames, intrinsics=intrinsics)
    return ViewFacts(record, QuestionOptions())


@pytest.mark.parametrize(
    ("steps", "offered"),
    [
        # Nobody walks backwards: from a frame to a later one it is not offered, and ahead is not the way back.
        ([AHEAD, AHEAD, ASIDE, AHEAD, ASIDE, AHEAD], {"forth": {"forward", "right"}, "back": {"backward", "left"}}),
        ([AHEAD, AHEAD, AHEAD], {}),
        (
            [AHEAD, ASIDE, ABOVE, BEHIND, AHEAD, ASIDE],
            {
                "forth": {"forward", "right", "up", "backward"},
                "back": {"backward", "left", "down", "forward"},
            },
        ),
    ],
)
def test_each_way_that_is_offered_is_right_equally_often_whatever_the_order_of_the_frames(
    steps: Sequence[tuple[float, float, float]], offered: dict[str, set[str]]
) -> None:
    facts = way_of(np.cumsum([(0.0, 0.0, 0.0), *steps], axis=0).tolist())
    right: Counter[tuple[str, frozenset[str], str]] = Counter()
    for seed in range(400):
        for item in ask(KINDS["camera_direction"], facts, 9, np.random.default_rng(seed))[0]:
            order = "forth" if item.frames[0] < item.frames[1] else "back"
            right[order, frozenset(item.options), item.options[LETTERS.index(item.answer)]] += 1
    ways: dict[str, set[str]] = defaultdict(set)
    for order, options in {(order, options) for order, options, _ in right}:
        ways[order] |= options
        counts = np.array([right[order, options, answer] for answer in sorted(options)])
        expected = counts.sum() / len(options)
        assert np.abs(counts - expected).max() <= 4 * np.sqrt(expected)
    assert ways == offered


@pytest.mark.parametrize(("aside", "rise"), [(0, 15), (0, -15), (55, 0), (55, 4), (-55, 0)])
def test_a_camera_that_looks_down_and_turns_aside_is_not_said_to_turn_up(aside: int, rise: int) -> None:
    level_to_room = np.eye(4)
    level_to_room[:3, :3] = [[1, 0, 0], [0, 0, 1], [0, -1, 0]]  # z up; a level camera looks along y
    poses = np.stack([level_to_room @ turned(0, -35), level_to_room @ turned(aside, -35 + rise)])
    first = np.linalg.inv(poses[0]) @ poses
    for alignment in (np.eye(4), None):
        record = make_record(camera_to_world=poses, camera_to_first=first, axis_alignment=alignment)
        found = [item for item in asked(ViewFacts(record, QuestionOptions()), "camera_motion") if "up" in item.text]
        assert bool(found) == (aside == 0)
        assert all(abs(abs(item.value) - abs(rise)) < 1e-6 for item in found)
