"""How far an object is from the camera of a frame: to the nearest point of its box, in metres.

A box may be far nearer than its object: above the foot of a bed with a high head, the box is as high as the head. So
the object's pixels in the frame have to show a point that is about as near.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.geometry.box_distance import distance_to_box
from gapdata.geometry.camera import transform
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, frame_name, number_text
from gapdata.tasks.spatial.view_facts import ROUND, Named, ViewFacts

NEAREST, FARTHEST = 0.3, 8.0  # metres
AGREES, AGREES_SHARE = 0.05, 0.05
"""Metres by which the nearest point that is seen may be farther than the box, or this share of the box's distance."""
NEAREST_SHARE = 0.01
"""Share of an object's pixels that may be nearer than its nearest point that is seen: their depth may be wrong."""
TEXT = "In {frame}, how far is the camera from the nearest point of the {name}? Answer in metres."


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield every object in every frame that shows it well, in random order."""
    pairs = [(item, frame) for item in facts.nameable for frame in item.seen]
    for place in rng.permutation(len(pairs)).tolist():
        item, frame = pairs[place]
        distance = float(distance_to_box(facts.record.camera_to_first[frame, :3, 3], item.box))
        if not item.firm:
            yield NotAsked(ROUND)
        elif not NEAREST <= distance <= FARTHEST:
            yield NotAsked("the camera is too near or too far")
        elif (transform(facts.camera(frame), item.box.corners)[:, 2] <= 0).any():
            yield NotAsked("a part of the object is behind the camera")
        elif _nearest_seen(facts, item, frame) > distance + max(AGREES, AGREES_SHARE * distance):
            yield NotAsked("no point that is seen of the object is as near as its box")
        else:
            yield SpatialQuestion(
                kind="camera_distance",
                text=TEXT.format(frame=frame_name(frame), name=item.name),
                answer=number_text(distance, 2),
                value=distance,
                margin=0.0,
                object_ids=(item.item.object_id,),
                names=(item.name,),
                frames=(frame,),
            )


def _nearest_seen(facts: ViewFacts, item: Named, frame: int) -> float:
    """Return how far the nearest point that a frame shows of an object is from its camera, metres, inf without any."""
    lengths = np.linalg.norm(facts.visible_points(item, frame), axis=1)
    return float(np.quantile(lengths, NEAREST_SHARE)) if len(lengths) else np.inf


KIND = Kind(name="camera_distance", metric="number", find=find, of_frames=True, pixels=True, least_objects=1)
