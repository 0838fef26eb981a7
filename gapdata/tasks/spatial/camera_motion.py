"""How the camera moves and turns from one frame to another, in the axes of the first of the two.

Yaw is the turn of the viewing direction to the right and pitch its turn upwards, both seen from the first camera: the
angles of its forward axis in the first camera's horizontal and vertical planes. A turn is asked about only where it
does not depend on which of the two comes first, and where the other one and the roll are small: else "how many degrees
to the right" has several answers. A camera that looks down at a room and turns aside pitches in its own axes without
looking any lower, so a pitch has to be that of the room, too, where it is known what is up.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, frame_name, number_text, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.spatial.wanted_answers import Drawn, draw_answers, in_turn

LEAST_STEP = 0.15  # metres
LEAST_TURN, LARGEST_TURN = 10.0, 120.0
"""Degrees; beyond the second a turn to the left could as well be one to the right."""
SAME_TURN, SAME_TURN_SHARE = 1.0, 0.05
"""Degrees, and share of the turn, by which a turn may depend on whether yaw or pitch comes first, and a pitch on
whether it is meant in the camera's axes or in the room."""
MOST_ASIDE, MOST_ROLL = 60.0, 30.0
"""Degrees of the other turn, and of roll, beyond which neither is asked about."""
DOMINANT = 1.5
"""Factor by which the largest component of a step exceeds the next, for its direction to be asked."""
MOVE = "From {first} to {second}, how far does the camera move {way}, in metres, negative for {back}? Answer in metres."
TURN = (
    "From {first} to {second}, by how many degrees does the camera turn {way}, negative for {back}? Answer in degrees."
)
MOST = "From {first} to {second}, in which direction does the camera move most?"
AXES = (("right", "left"), ("up", "down"), ("forward", "backward"))
TURNS = (("right", "left"), ("up", "down"))
UPWARD = 1
OFFERED = (2, 4)
"""Answers that are offered at least and at most: as many as the camera's way has."""


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield pairs of frames in random order, each asked about by how far the camera moves or turns on one axis."""
    for first, second in _pairs(facts, rng):
        yield (_step if rng.random() < 0.5 else _turn)(facts, first, second, rng)


def find_direction(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield pairs of frames, each asked about by the direction in which the camera moves most.

    The order of the two frames tells much: people hardly ever walk backwards. So the answers that are offered are those
    that pairs in the same order have, and each is the right one equally often.
    """
    steps = _steps(facts)
    lengths = np.sort(np.abs(steps), axis=-1)
    far = lengths[..., 2] >= LEAST_STEP
    dominant = far & (lengths[..., 2] >= DOMINANT * lengths[..., 1])
    different = ~np.eye(len(steps), dtype=bool)
    yield NotAsked("the camera moves too little", int((different & ~far).sum()))
    yield NotAsked("the camera does not move in one direction most", int((far & ~dominant).sum()))
    axis = np.abs(steps).argmax(axis=-1)
    ahead = np.take_along_axis(steps, axis[..., None], axis=-1)[..., 0] > 0
    answers = {(place, side): AXES[place][side] for place in range(len(AXES)) for side in range(2)}
    draws = []
    for in_order in (np.triu(dominant), np.tril(dominant)):
        choices = {
            answer: np.flatnonzero(in_order & (axis == place) & (ahead == (side == 0)))
            for (place, side), answer in answers.items()
        }
        draws.append(draw_answers(choices, rng, fewest=OFFERED[0], most=OFFERED[-1]))
    for drawn in in_turn(draws, rng):
        if isinstance(drawn, NotAsked):
            yield drawn
            continue
        first, second = divmod(drawn.candidate, len(steps))
        yield _direction(steps[first, second], first, second, drawn, rng)


def _steps(facts: ViewFacts) -> NDArray[np.float64]:
    """Return the steps from each frame to each other one, (F, F, 3) metres to the right, up and forward."""
    to_camera = facts.world_to_cameras
    places = facts.record.camera_to_first[:, :3, 3]
    seen = places @ np.swapaxes(to_camera[:, :3, :3], 1, 2) + to_camera[:, None, :3, 3]
    return np.asarray(seen * [1, -1, 1])


def _pairs(facts: ViewFacts, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Return the pairs of frames, forth and back in time: people walk forward, and a step back is one forth again."""
    pairs = list(itertools.permutations(range(len(facts.record)), 2))
    return [pairs[place] for place in rng.permutation(len(pairs)).tolist()]


def motion(facts: ViewFacts, first: int, second: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the step to the right, up and forward, (3,) metres, and yaw and pitch, (2,) degrees."""
    between = facts.camera(first) @ facts.record.camera_to_first[second]
    step = between[:3, 3] * [1, -1, 1]
    right, down, ahead = between[:3, 2]
    yaw = np.degrees(np.arctan2(right, ahead))
    pitch = np.degrees(np.arctan2(-down, np.hypot(right, ahead)))
    return step, np.array([yaw, pitch])


def other_order(between: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return yaw and pitch of a (4, 4) second to first camera if the camera had pitched first, (2,) degrees."""
    right, down, ahead = between[:3, 2]
    facing = -1.0 if ahead < 0 else 1.0
    yaw = np.arctan2(right, facing * np.sqrt(max(1 - right**2, 0.0)))
    return np.asarray(np.degrees([yaw, np.arctan2(-down * facing, ahead * facing)]))


def pitch_in_room(facts: ViewFacts, first: int, second: int) -> float | None:
    """Return how far the viewing direction turns upwards in the room, degrees; ``None`` where up is not known."""
    if facts.first_to_aligned is None:
        return None
    up = (facts.first_to_aligned @ facts.record.camera_to_first[[first, second]])[:, 2, 2]
    return float(np.diff(np.degrees(np.arcsin(np.clip(up, -1, 1))))[0])


def roll(between: NDArray[np.float64]) -> float:
    """Return the turn about the viewing direction of a (4, 4) second to first camera, degrees clockwise."""
    right, _, ahead = between[:3, 2]
    yaw = np.arctan2(right, ahead)
    level = np.array([np.cos(yaw), 0.0, -np.sin(yaw)])  # what the axis to the right would be without roll
    return float(np.degrees(np.arctan2(-(between[:3, 1] @ level), between[:3, 0] @ level)))


def _step(facts: ViewFacts, first: int, second: int, rng: np.random.Generator) -> SpatialQuestion | NotAsked:
    step, _ = motion(facts, first, second)
    axis = int(rng.integers(len(AXES)))
    if abs(step[axis]) < LEAST_STEP:
        return NotAsked("the camera moves too little")
    return _number("step", MOVE, AXES[axis], float(step[axis]), 2, first, second)


def _turn(facts: ViewFacts, first: int, second: int, rng: np.random.Generator) -> SpatialQuestion | NotAsked:
    _, turn = motion(facts, first, second)
    axis = int(rng.integers(len(TURNS)))
    if not LEAST_TURN <= abs(turn[axis]) <= LARGEST_TURN:
        return NotAsked("the camera turns too little or too far")
    between = facts.camera(first) @ facts.record.camera_to_first[second]
    others = [float(other_order(between)[axis])]
    in_room = pitch_in_room(facts, first, second) if axis == UPWARD else None
    others += [] if in_room is None else [in_room]
    if any(abs(other - turn[axis]) > max(SAME_TURN, SAME_TURN_SHARE * abs(turn[axis])) for other in others):
        return NotAsked("the camera turns about several axes")
    if abs(turn[1 - axis]) > MOST_ASIDE or abs(roll(between)) > MOST_ROLL:
        return NotAsked("the camera turns about several axes")
    return _number("turn", TURN, TURNS[axis], float(turn[axis]), 0, first, second)


def _number(
    form: str, text: str, ways: tuple[str, str], value: float, decimals: int, first: int, second: int
) -> SpatialQuestion:
    names = {"first": frame_name(first), "second": frame_name(second), "way": ways[0], "back": ways[1]}
    return SpatialQuestion(
        kind="camera_motion",
        form=form,
        text=text.format(**names),
        answer=number_text(value, decimals),
        value=value,
        margin=0.0,
        frames=(first, second),
    )


def _direction(
    step: NDArray[np.float64], first: int, second: int, drawn: Drawn, rng: np.random.Generator
) -> SpatialQuestion:
    lengths = np.sort(np.abs(step))
    options, letter = shuffled(drawn.answer, drawn.wrong, rng)
    return SpatialQuestion(
        kind="camera_direction",
        text=with_letters(MOST.format(first=frame_name(first), second=frame_name(second)), options),
        answer=letter,
        value=float(step[np.abs(step).argmax()]),
        margin=float(lengths[2] - lengths[1]),
        options=options,
        frames=(first, second),
    )


KIND = Kind(name="camera_motion", metric="number", find=find, views=("clip",), least_frames=2)
DIRECTION = Kind(name="camera_direction", metric="letter", find=find_direction, views=("clip",), least_frames=3)
