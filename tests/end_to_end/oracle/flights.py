"""Cameras that fly where no walk goes: up and down, backwards and to the side, and turned any way."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from gapdata.records.schema import Record
from gapdata.synthetic.dataset import SynthesisOptions
from gapdata.tasks.spatial.kinds import KINDS
from tests.conftest import look_from
from tests.end_to_end.oracle.exam import Asked, Exam, ask
from tests.end_to_end.oracle.key.true_room import TrueRoom
from tests.end_to_end.oracle.twins import flown

MOTION = {name: KINDS[name] for name in ("camera_motion", "camera_direction")}
MAIN, ASIDE = 0.7, 0.15  # metres: the largest step along one of the camera's axes, and along the others
TURN = 0.8  # radians


def ask_about_flights(
    record: Record, room: TrueRoom, options: SynthesisOptions, exam: Exam, *, flights: int, rng: np.random.Generator
) -> Iterator[Asked]:
    """Put questions about cameras to the key that fly in the place of a clip's own."""
    for number in range(flights):
        poses = _flight(len(record), rng)
        walk = room.poses.copy()
        walk[list(record.frame_ids)] = poses
        flying = replace(room, poses=walk, _sights={}, seen={})
        other = replace(flown(record, poses), key=f"{record.key}-flight-{number}")
        yield from ask([other], options, exam, room_of=lambda _, flying=flying: flying, kinds=MOTION)  # type: ignore[misc]


def _flight(frames: int, rng: np.random.Generator) -> np.ndarray[tuple[int, int, int], np.dtype[np.float64]]:
    """Return poses (F, 4, 4), camera to room: each step is longest along one axis of the camera."""
    place, yaw, pitch = np.array([2.0, 2.0, 1.4]), rng.uniform(-np.pi, np.pi), rng.uniform(-0.5, 0.5)
    poses = []
    for _ in range(frames):
        pose = look_from((float(place[0]), float(place[1]), float(place[2])), yaw, pitch)
        poses.append(pose)
        step = rng.uniform(-ASIDE, ASIDE, 3)
        step[rng.integers(3)] = rng.choice([-1, 1]) * rng.uniform(0.3, MAIN)
        place = place + pose[:3, :3] @ step
        yaw, pitch = yaw + rng.uniform(-TURN, TURN), float(np.clip(pitch + rng.uniform(-TURN, TURN), -1.0, 1.0))
    return np.stack(poses)
