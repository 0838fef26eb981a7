"""How far a marked point is: its depth along the viewing direction, or its distance in a straight line, in metres."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.marked_pixels import draw_pixel, usable_pixels
from gapdata.tasks.spatial.question import SpatialQuestion, frame_name, number_text
from gapdata.tasks.spatial.view_facts import ViewFacts

TRIES = 20
STEP = 0.02
"""Metres by which depth may vary around the mark. Two percent of four metres are the thickness of a book: a mark on its
rim would show the one surface and be answered by the reading of the other."""
DEPTH = (
    "In {frame}, how far is the point at the red cross from the camera, measured along the viewing direction? "
    "Answer in metres."
)
DISTANCE = "In {frame}, how far is the point at the red cross from the camera, in a straight line? Answer in metres."


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random pixels of random frames, in one of the two forms."""
    for _ in range(TRIES):
        frame, straight = int(rng.integers(len(facts.record))), rng.random() < 0.5
        depth = facts.depth(frame)
        pixel = draw_pixel(usable_pixels(facts, frame, STEP), rng)
        if pixel is None:
            yield NotAsked("the frame has no smooth surface with depth")
            continue
        z = np.float64(depth[pixel[1], pixel[0]])
        point = facts.record.camera(frame).unproject(np.array(pixel), z)
        value = float(np.linalg.norm(point)) if straight else float(z)
        yield SpatialQuestion(
            kind="pixel_depth",
            form="distance" if straight else "depth",
            text=(DISTANCE if straight else DEPTH).format(frame=frame_name(frame)),
            answer=number_text(value, 2),
            value=value,
            margin=0.0,
            frames=(frame,),
            marks=(Mark(frame=frame, pixel=pixel),),
        )


KIND = Kind(name="pixel_depth", metric="number", find=find, of_frames=True, pixels=True)
