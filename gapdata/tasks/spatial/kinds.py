"""The registry of all types of spatial questions, and the questions of a record.

A type is one file with a :class:`gapdata.tasks.spatial.kind.Kind` and one row of :data:`KINDS`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

import numpy as np

from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.tasks.chat import Question
from gapdata.tasks.spatial import (
    camera_distance,
    camera_motion,
    correspondence,
    count,
    depth_order,
    direction,
    distance,
    imagined_view,
    nearest,
    order,
    pixel_depth,
    relation,
    room,
    route,
    size,
)
from gapdata.tasks.spatial.kind import Kind, ask
from gapdata.tasks.spatial.question import SpatialQuestion, parse_letter, parse_number
from gapdata.tasks.spatial.view_facts import facts_of
from gapdata.tasks.task import QuestionOptions, Task

KINDS: Mapping[str, Kind] = {
    kind.name: kind
    for kind in (
        count.KIND,
        distance.KIND,
        nearest.KIND,
        size.KIND,
        room.KIND,
        direction.KIND,
        order.KIND,
        camera_distance.KIND,
        camera_motion.KIND,
        camera_motion.DIRECTION,
        imagined_view.KIND,
        pixel_depth.KIND,
        depth_order.KIND,
        relation.KIND,
        correspondence.KIND,
        route.KIND,
    )
}


def spatial_questions(
    record: Record, options: QuestionOptions, seed: int, kinds: Mapping[str, Kind] = KINDS
) -> Iterator[tuple[Kind, list[SpatialQuestion], Counter[str]]]:
    """Yield the questions of each type about a record, and how many candidates were refused, by reason.

    Args:
        record: with its members where types need pixels.
        options: how questions are asked.
        seed: of all random choices, together with the record's key and the type.
        kinds: the types.
    """
    facts = facts_of(record, options)
    for name, kind in kinds.items():
        asked, refused = ask(kind, facts, options.per_kind, generator_for(seed, "spatial", record.key, name))
        yield kind, asked, refused


def task_of(kind: Kind) -> Task:
    """Return the task that asks questions of one type."""

    def render(record: Record, options: QuestionOptions, rng: np.random.Generator) -> list[Question]:
        asked, _ = ask(kind, facts_of(record, options), options.per_kind, rng)
        return [item.to_question(len(record)) for item in asked]

    def left_out(record: Record, options: QuestionOptions) -> Mapping[str, int]:
        return next(spatial_questions(record, options, 0, {kind.name: kind}))[2]

    parse = parse_number if kind.metric == "number" else parse_letter
    return Task(name=kind.name, about="space", render=render, parse=parse, varied=True, left_out=left_out)
