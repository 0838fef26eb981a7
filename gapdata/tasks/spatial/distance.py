"""How far two objects are apart: the distance between the nearest points of their boxes, in metres.

Where the scan has a labelled mesh, the nearest points of the two meshes have to be as far apart
(:attr:`gapdata.tasks.spatial.view_facts.ViewFacts.agreed`): else the box of a table would answer for its legs.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, number_text
from gapdata.tasks.spatial.view_facts import ROUND, ViewFacts

NEAREST, FARTHEST = 0.2, 8.0
"""Metres. Nearer boxes may touch, whatever their objects do; farther ones are in other rooms."""
TEXT = (
    "What is the distance between the {one} and the {other}, measured between their nearest points? Answer in metres."
)


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield the pairs of nameable objects in random order, each asked about in one of its two orders."""
    pairs = list(itertools.combinations(range(len(facts.nameable)), 2))
    for place in rng.permutation(len(pairs)).tolist():
        pair = pairs[place] if rng.random() < 0.5 else pairs[place][::-1]
        one, other = (facts.nameable[index] for index in pair)
        distance, mesh = float(facts.gaps[pair]), float(facts.mesh_gaps[pair])
        if not (one.firm and other.firm):
            yield NotAsked(ROUND)
        elif distance < NEAREST:
            yield NotAsked("the boxes are too near to each other")
        elif distance > FARTHEST:
            yield NotAsked("the objects are too far apart")
        elif not facts.agreed[pair]:
            yield NotAsked("the meshes of the objects are not as far apart as their boxes")
        else:
            yield SpatialQuestion(
                kind="distance",
                text=TEXT.format(one=one.name, other=other.name),
                answer=number_text(distance, 2),
                value=distance,
                margin=0.0,
                object_ids=(one.item.object_id, other.item.object_id),
                names=(one.name, other.name),
                mesh_value=None if math.isnan(mesh) else mesh,
            )


KIND = Kind(name="distance", metric="number", find=find, least_objects=2)
