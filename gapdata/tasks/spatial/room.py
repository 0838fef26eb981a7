"""How large the floor of the scene is, in square metres (:mod:`gapdata.records.find_floor`)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, number_text
from gapdata.tasks.spatial.view_facts import ViewFacts

LEAST_WALLED = 0.8
"""Share of the outline with a wall along it, below which the scan, and not the room, ends there."""
SMALLEST, LARGEST = 4.0, 60.0  # square metres
TEXT = "How large is the floor of this room? Answer in square metres."


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield the question about the room, if walls close it."""
    room = facts.record.room
    if room is None:
        yield NotAsked("the scan has no labelled floor")
    elif room.walled < LEAST_WALLED:
        yield NotAsked("walls do not close the room")
    elif not SMALLEST <= room.area <= LARGEST:
        yield NotAsked("the room is too small or too large")
    else:
        answer = number_text(room.area, 1)
        yield SpatialQuestion(kind="room", text=TEXT, answer=answer, value=room.area, margin=0.0)


KIND = Kind(name="room", metric="number", find=find, views=("scene",), needs_up=True)
