"""The questions of published benchmarks that a build holds, asked verbatim about its frames.

``gapdata build-shards --annotations FILE`` stores them as conversations; a question that several views of a scene hold
is asked about the first of them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gapdata.records.expressions import conversations
from gapdata.records.schema import Record
from gapdata.shards.records import Records
from gapdata.tasks import conversation
from gapdata.tasks.predictions import Asking, question_id
from gapmodel.evaluation.asking import Asked, TaskQuestions, spread

TOKENS = {"vsi-bench": 16, "spar-bench": 100, "scanqa": 64, "sqa3d": 64}
"""Longest answer: as the harnesses of the first two have it, and some words for the others."""


def benchmark_tasks(
    reader: Records, askings: Callable[[str], Asking], names: Sequence[str], limit: int | None = None
) -> list[TaskQuestions]:
    """Return the questions of several benchmarks, in the order of their names.

    Args:
        reader: the build.
        askings: says the split of each benchmark's questions.
        names: of :data:`gapdata.tasks.predictions.BENCHMARKS`.
        limit: most questions of a benchmark, spread over its records; ``None`` for all.
    """
    found: dict[str, list[Asked]] = {name: [] for name in names}
    records: dict[int, Record] = {}
    met: set[tuple[str, str, int]] = set()
    splits = {askings(name).split for name in names}
    for index in sorted(index for split in splits for index in reader.select(split=split)):
        record = reader.without_images(index)
        for number, item in enumerate(conversations(record)):
            name = item.benchmark or ""
            if name not in found or record.split != askings(name).split or (name, item.source, item.index) in met:
                continue
            met.add((name, item.source, item.index))
            records[index] = record
            found[name].append(
                Asked(
                    id=question_id(name, record.key, number),
                    kind=name,
                    index=index,
                    key=record.key,
                    number=number,
                    question=conversation.render(record, item),
                    tokens=TOKENS[name],
                )
            )
    return [_task(name, askings(name), spread(found[name], limit), records) for name in names]


def _task(name: str, asking: Asking, asked: Sequence[Asked], records: dict[int, Record]) -> TaskQuestions:
    used = {item.index for item in asked}
    return TaskQuestions(
        task=name,
        asking=asking,
        asked=tuple(asked),
        records={index: record for index, record in records.items() if index in used},
        left_out={} if asked else {f"the build holds no question of {name}; add its file to --annotations": 1},
    )
