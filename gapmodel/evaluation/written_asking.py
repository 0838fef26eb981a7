"""The spatial questions of an evaluation where they are those of a file: exactly these, with the ids that they have.

The file was balanced over its whole build (:mod:`gapdata.tasks.spatial.balance`), and all who use it ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from gapdata.records.schema import Record
from gapdata.shards.records import Records
from gapdata.tasks.predictions import Asking
from gapdata.tasks.spatial.question_file import AskedQuestion
from gapdata.tasks.spatial.question_index import QuestionIndex, question_index
from gapmodel.evaluation.asking import Asked, TaskQuestions, spread
from gapmodel.evaluation.spatial_asking import TOKENS


def written_tasks(
    reader: Records, askings: Callable[[str], Asking], names: Sequence[str], limit: int | None, path: Path
) -> list[TaskQuestions]:
    """Return the questions of several types that a file has about a split, in the order of their names.

    Args:
        reader: the build.
        askings: how the questions of each type are put; of these, the split counts.
        names: of types, keys of :data:`gapdata.tasks.spatial.kinds.KINDS`.
        limit: most questions of a type, spread over the records; ``None`` for all.
        path: the file.

    Raises:
        UsageError: the file cannot be read, or is not about the build.
    """
    index = question_index(path)
    index.refuse_others(set(reader.keys))
    records: dict[int, Record] = {}  # read once for all types that ask about them
    return [_task(reader, records, index, askings(name), name, limit) for name in names]


def _task(
    reader: Records,
    records: dict[int, Record],
    index: QuestionIndex,
    asking: Asking,
    name: str,
    limit: int | None,
) -> TaskQuestions:
    found: list[tuple[int, AskedQuestion]] = []
    for position in reader.select(split=asking.split):
        if index.counts(reader.keys[position], (name,)):
            if position not in records:
                records[position] = reader.without_images(position)
            found += [(position, item) for item in index.about(records[position], (name,))]
    asked = [_asked(position, records[position], place, item) for place, (position, item) in enumerate(found)]
    chosen = tuple(spread(asked, limit))
    return TaskQuestions(
        task=name,
        asking=asking,
        asked=chosen,
        records={position: records[position] for position in sorted({item.index for item in chosen})},
        left_out={} if found else {f"{index.path} has none": 1},
    )


def _asked(position: int, record: Record, place: int, item: AskedQuestion) -> Asked:
    return Asked(
        id=item.id,
        kind=item.question.kind,
        index=position,
        key=record.key,
        number=place,
        question=item.question.to_question(len(record)),
        tokens=TOKENS,
        spatial=item.question,
    )
