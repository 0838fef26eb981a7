"""Which of several objects is nearest to another one, by the distances of their boxes.

Where the scan has a labelled mesh, the answer is the nearest by the distances of the meshes, too.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from gapdata.tasks.spatial.kind import Kind, NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.view_facts import ROUND, ViewFacts

NEAREST = 0.15  # metres
LEAST_GAP, LEAST_GAP_SHARE = 0.15, 0.1
"""Metres by which the distances of two options differ at least, and this share of the larger one."""
OPTIONS = (2, 3, 4)
TRIES = 30
TEXT = "Which of these is nearest to the {target}, measured between nearest points?"


def find(facts: ViewFacts, rng: np.random.Generator) -> Iterator[SpatialQuestion | NotAsked]:
    """Yield random questions; the answer is drawn first, so that no object is right more often than others."""
    firm = np.flatnonzero([item.firm for item in facts.nameable])
    items = [facts.nameable[place] for place in firm.tolist()]
    if len(items) <= OPTIONS[0]:
        yield NotAsked(ROUND)
        return
    distance, mesh = facts.gaps[np.ix_(firm, firm)], facts.mesh_gaps[np.ix_(firm, firm)]
    clear = _clearly_nearer(distance, None if facts.record.mesh_distances is None else mesh)
    asked: set[tuple[int, int]] = set()
    for _ in range(TRIES):
        size = int(rng.integers(OPTIONS[0], OPTIONS[-1] + 1))
        drawn = _draw_any(distance, clear, size, asked, rng)
        if drawn is None:
            yield NotAsked("to no object is one of the options clearly the nearest")
            continue
        target, answer, others = drawn
        asked.add((target, answer))
        options, letter = shuffled(items[answer].name, [items[other].name for other in others], rng)
        gap = float(distance[target, others].min() - distance[target, answer])
        yield SpatialQuestion(
            kind="nearest",
            text=with_letters(TEXT.format(target=items[target].name), options),
            answer=letter,
            value=gap,
            margin=gap,
            options=options,
            object_ids=tuple(items[place].item.object_id for place in (target, answer, *others)),
            names=tuple(items[place].name for place in (target, answer, *others)),
        )


def _clearly_nearer(distance: NDArray[np.float64], mesh: NDArray[np.float64] | None) -> NDArray[np.bool_]:
    """Return whether, to a target, one object is clearly nearer than another: (targets, objects, others).

    Args:
        distance: (n, n) of boxes, metres.
        mesh: (n, n) of meshes, NaN where not measured: that is not clear; ``None`` for a scan without a labelled mesh.
    """
    clear = _apart(distance) & (distance[:, None, :] > distance[:, :, None]) & (distance[:, :, None] >= NEAREST)
    if mesh is not None:
        clear &= mesh[:, None, :] - mesh[:, :, None] > LEAST_GAP
    different = ~np.eye(len(distance), dtype=bool)
    return np.asarray(clear & different[:, :, None] & different[:, None, :])


def _apart(distance: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether the distances of two objects to a target are apart, (targets, objects, objects)."""
    one, other = distance[:, :, None], distance[:, None, :]
    return np.asarray(np.abs(one - other) > np.maximum(LEAST_GAP, LEAST_GAP_SHARE * np.maximum(one, other)))


def _draw_any(
    distance: NDArray[np.float64],
    clear: NDArray[np.bool_],
    size: int,
    asked: set[tuple[int, int]],
    rng: np.random.Generator,
) -> tuple[int, int, list[int]] | None:
    """Return a target, its nearest of ``size`` options and the others, for the first of random answers that has them.

    The number of options is kept until an answer has so many: drawn again for each, two would nearly always win.
    """
    for answer in rng.permutation(len(distance)).tolist():
        drawn = _draw(distance, clear, answer, size, rng)
        if drawn is not None and (drawn[0], answer) not in asked:
            return drawn[0], answer, drawn[1]
    return None


def _draw(
    distance: NDArray[np.float64], clear: NDArray[np.bool_], answer: int, size: int, rng: np.random.Generator
) -> tuple[int, list[int]] | None:
    """Return a target of which ``answer`` is the nearest of ``size`` options, and the other options.

    Every option has to be the nearest of these for some target of the scene: else it would be a wrong one whatever the
    target is, and the text alone would tell.
    """
    apart = clear | np.swapaxes(clear, 1, 2)
    targets = np.flatnonzero(clear[:, answer].sum(axis=-1) >= size - 1)
    for target in rng.permutation(targets).tolist():
        chosen: list[int] = []
        for other in rng.permutation(np.flatnonzero(clear[target, answer])).tolist():
            if all(apart[target, other, place] for place in chosen):
                chosen.append(other)
            if len(chosen) == size - 1:
                break
        if len(chosen) == size - 1 and _each_is_nearest_to_some(distance, [answer, *chosen]):
            return target, chosen
    return None


def _each_is_nearest_to_some(distance: NDArray[np.float64], options: list[int]) -> bool:
    targets = np.delete(distance[:, options], options, axis=0)
    return len(np.unique(targets.argmin(axis=-1))) == len(options)


KIND = Kind(name="nearest", metric="letter", find=find, views=("scene",), least_objects=1 + OPTIONS[0])
