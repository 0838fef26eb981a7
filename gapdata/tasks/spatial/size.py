"""How large an object is: the longest side of its box, in whole centimetres.

Boxes stand upright and are fitted to the vertices, or are the source's own. A round object has many smallest boxes of
one size: frames have to show the corners of all of them, since nobody can tell which one is meant.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, number_text
from gapdata.tasks.spatial.view_facts import MOST_SLACK, ROUND, ViewFacts

SMALLEST, LARGEST = 20.0, 400.0  # centimetres
TEXT = "How long is the longest side (length, width or height) of the {name}? Answer in centimetres."


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield the nameable objects in random order; all of each has to be in sight of some frame or other."""
    for place in rng.permutation(len(facts.nameable)).tolist():
        item = facts.nameable[place]
        longest = 100 * float(item.box.size.max())
        if item.item.box_slack is not None and item.item.box_slack[1] > MOST_SLACK:
            yield NotAsked(ROUND)
        elif not SMALLEST <= longest <= LARGEST:
            yield NotAsked("the object is too small or too large")
        elif not facts.all_in_sight(item.widest_box):
            yield NotAsked("a part of the object is outside of all frames")
        else:
            yield SpatialQuestion(
                kind="size",
                text=TEXT.format(name=item.name),
                answer=number_text(longest, 0),
                value=longest,
                margin=0.0,
                object_ids=(item.item.object_id,),
                names=(item.name,),
            )


KIND = Kind(name="size", metric="number", find=find, least_objects=1)
