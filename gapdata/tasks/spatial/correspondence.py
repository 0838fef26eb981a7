"""Which of four marks in one frame is the point that a mark in another frame shows."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.object_names import could_mean
from gapdata.geometry.camera import transform
from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.marked_pixels import apart_from, draw_pixel, usable_pixels
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion, frame_name, with_letters
from gapdata.tasks.spatial.view_facts import ViewFacts

SAME_DEPTH = 0.02
"""Share by which the depths of one point in two frames may differ; more, and something hides it in one of them."""
LEAST_MOVE = 0.15
"""Metres between the two cameras, below which the images are nearly the same."""
NEAR, FAR = 0.5, 2.0
"""Shares of the right mark's depth between which wrong ones lie, so that depth alone does not tell."""
WRONG = 3
TRIES = 40
TEXT = "Cross 1 in {first} marks a point. Which cross in {second} marks the same point?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random points that two frames see."""
    count = len(facts.record)
    for _ in range(TRIES):
        first, second = rng.choice(count, 2, replace=False).tolist()
        if np.linalg.norm(facts.record.camera_to_first[first, :3, 3] - facts.record.camera_to_first[second, :3, 3]) < (
            LEAST_MOVE
        ):
            yield NotAsked("the camera moves too little")
            continue
        yield _ask(facts, first, second, rng)


def _ask(facts: ViewFacts, first: int, second: int, rng: np.random.Generator) -> SpatialQuestion | NotAsked:
    pixel = draw_pixel(usable_pixels(facts, first), rng)
    if pixel is None:
        return NotAsked("the frame has no smooth surface with depth")
    place = seen_again(facts, first, second, pixel)
    depth = facts.depth(second)
    usable = usable_pixels(facts, second)
    if place is None or not usable[place[1], place[0]]:
        return NotAsked("the other frame does not show the point")
    right = depth[place[1], place[0]]
    others = usable & (depth > NEAR * right) & (depth < FAR * right) & like_pixels(facts, second, place)
    pixels = [place]
    while len(pixels) <= WRONG:
        wrong = draw_pixel(others & apart_from(depth.shape, pixels), rng)
        if wrong is None:
            return NotAsked("the other frame has too few places for wrong marks")
        pixels.append(wrong)
    order = rng.permutation(len(pixels)).tolist()
    options = tuple(f"cross {number}" for number in range(2, 2 + len(pixels)))
    apart = min(float(np.hypot(u - place[0], v - place[1])) for u, v in pixels[1:])
    marks = [Mark(frame=second, pixel=pixels[index], number=number) for number, index in enumerate(order, start=2)]
    return SpatialQuestion(
        kind="correspondence",
        text=with_letters(TEXT.format(first=frame_name(first), second=frame_name(second)), options),
        answer=LETTERS[order.index(0)],
        value=apart,
        margin=apart / 2,
        options=options,
        frames=(first, second),
        marks=(Mark(frame=first, pixel=pixel, number=1), *marks),
    )


def like_pixels(facts: ViewFacts, frame: int, pixel: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels of a frame (H, W) on objects of a name like that of the object at a pixel, or on none as it is.

    A wrong mark on another kind of object could be told without looking for the point. In a frame without instance
    masks, all pixels are alike.
    """
    if not facts.has_instances:
        return np.ones(facts.depth(frame).shape, dtype=bool)
    mask = facts.instances(frame)
    names = {item.object_id + 1: facts.name_of(item.labels, item.label) for item in facts.record.objects}
    name = names.get(int(mask[pixel[1], pixel[0]]))
    if name is None:
        return ~np.isin(mask, list(names))
    return np.isin(mask, [value for value, other in names.items() if other == name or could_mean(name, other)])


def seen_again(facts: ViewFacts, first: int, second: int, pixel: tuple[int, int]) -> tuple[int, int] | None:
    """Return the pixel (u, v) of another frame that shows the point of a pixel; ``None`` where it does not.

    The way back from there has to end at most one pixel, across and down, from where it began.
    """
    forth = _moved(facts, first, second, np.array(pixel))
    if forth is None:
        return None
    back = _moved(facts, second, first, forth)
    if back is None or np.abs(back - pixel).max() > 1:
        return None
    return int(forth[0]), int(forth[1])


def _moved(facts: ViewFacts, first: int, second: int, pixel: NDArray[np.int64]) -> NDArray[np.int64] | None:
    """Return the pixel of the second frame at which the depth is that of the first one's pixel."""
    z = np.float64(facts.depth(first)[pixel[1], pixel[0]])
    point = facts.record.camera(first).unproject(pixel, z)
    seen = transform(facts.camera(second) @ facts.record.camera_to_first[first], point)
    camera = facts.record.camera(second)
    if seen[2] <= 0:
        return None
    place = np.rint(camera.project(seen)).astype(np.int64)
    if (place < 0).any() or place[0] >= camera.width or place[1] >= camera.height:
        return None
    depth = float(facts.depth(second)[place[1], place[0]])
    return place if depth > 0 and abs(depth - seen[2]) < SAME_DEPTH * seen[2] else None


KIND = Kind(
    name="correspondence",
    metric="letter",
    find=find,
    of_frames=True,
    views=("scene", "clip"),
    pixels=True,
    least_frames=2,
)
