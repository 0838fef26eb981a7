"""The spatial questions of an evaluation: of each type at most so many, spread over the records of its kind of view.

All types that are asked about a record are asked at once, because they share what has to be worked out about it. The
questions of a record depend on it and on its name alone, so their ids (``distance/<key>/<number>``) are stable, and
those of ``gapdata questions`` are the same. As there, questions whose answers their texts tell are left out, here among
those that an evaluation looks at: twice as many as it asks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace

from gapdata.records.schema import Record
from gapdata.shards.records import Records
from gapdata.tasks.predictions import Asking, question_id
from gapdata.tasks.spatial.balance import left_out
from gapdata.tasks.spatial.kind import Kind
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question_file import AskedQuestion
from gapmodel.evaluation.asking import Asked, TaskQuestions

TOKENS = 16
"""Longest answer: a letter or a number, as VSI-Bench allows."""
MOST = 500
"""Most questions of one type where no limit is given; VSI-Bench asks 200 to 950."""
LOOKED_AT = 2
"""Questions that are looked at for each one that is asked, because some are left out for balance."""
SEED = 0
"""Of the choice of questions, as ``gapdata questions`` has it by default."""


@dataclass(slots=True, kw_only=True)
class _Found:
    """The questions of one type that were found so far."""

    asked: list[Asked] = field(default_factory=list)  # in the order in which records were looked at
    records: dict[int, Record] = field(default_factory=dict)
    refused: Counter[str] = field(default_factory=Counter)


def spatial_view(kind: Kind, trained: str | None = None) -> str:
    """Return the kind of view that a type is asked about: as trained where that is known and possible.

    Types about one or two frames are asked about clips, whose frames are quickly read.
    """
    if trained in kind.views:
        return str(trained)
    return "clip" if kind.of_frames and "clip" in kind.views else kind.views[0]


def spatial_tasks(
    reader: Records, askings: Callable[[str], Asking], names: Sequence[str], limit: int | None = None
) -> list[TaskQuestions]:
    """Return the questions of several types, in the order of their names.

    Args:
        reader: the build.
        askings: how the questions of each type are put.
        names: of types, keys of :data:`gapdata.tasks.spatial.kinds.KINDS`.
        limit: most questions of a type; ``None`` for :data:`MOST`.
    """
    most = MOST if limit is None else limit
    found = {name: _Found() for name in names}
    for asking, positions, kinds in _groups(reader, askings, names):
        _ask(reader, asking, positions, kinds, found, LOOKED_AT * most)
    told = left_out(_as_listed(item, part.records) for part in found.values() for item in part.asked)
    for part in found.values():
        part.refused.update(told[item.id] for item in part.asked if item.id in told)
        part.asked = [item for item in part.asked if item.id not in told][:most]
    return [_task(name, askings(name), found[name]) for name in names]


def _groups(
    reader: Records, askings: Callable[[str], Asking], names: Sequence[str]
) -> Iterator[tuple[Asking, list[int], list[Kind]]]:
    """Yield the types that are asked about the same records in the same way, with the positions of the records."""
    groups: dict[tuple[str, Asking], list[Kind]] = {}
    for name in names:
        asking, kind = askings(name), KINDS[name]
        views = dict.fromkeys((asking.language_view, *kind.views))
        view = next((v for v in views if v in kind.views and reader.select(split=asking.split, view=v)), None)
        if view is not None:
            groups.setdefault((view, asking), []).append(kind)
    for (view, asking), kinds in groups.items():
        yield asking, reader.select(split=asking.split, view=view), kinds


def _ask(
    reader: Records,
    asking: Asking,
    positions: Sequence[int],
    kinds: Sequence[Kind],
    found: dict[str, _Found],
    most: int,
) -> None:
    for place in spread_order(len(positions)):
        wanted = {kind.name: kind for kind in kinds if len(found[kind.name].asked) < most}
        if not wanted:
            return
        index = positions[place]
        pixels = any(kind.pixels for kind in wanted.values())
        record = reader[index] if pixels else reader.without_images(index)
        light = replace(record, members={}) if pixels else record
        for kind, asked, refused in spatial_questions(record, asking.options, SEED, wanted):
            mine = found[kind.name]
            mine.refused.update(refused)
            for number, item in enumerate(asked[: most - len(mine.asked)]):
                mine.records[index] = light
                mine.asked.append(
                    Asked(
                        id=question_id(kind.name, record.key, number),
                        kind=kind.name,
                        index=index,
                        key=record.key,
                        number=number,
                        question=item.to_question(len(record)),
                        tokens=TOKENS,
                        spatial=item,
                    )
                )


def _as_listed(item: Asked, records: dict[int, Record]) -> AskedQuestion:
    record = records[item.index]
    assert item.spatial is not None
    return AskedQuestion(
        id=item.id, key=item.key, scene_id=record.scene_id, split=record.split, place="", question=item.spatial
    )


def _task(name: str, asking: Asking, found: _Found) -> TaskQuestions:
    used = {item.index for item in found.asked}
    return TaskQuestions(
        task=name,
        asking=asking,
        asked=tuple(sorted(found.asked, key=lambda item: (item.index, item.number))),
        records={index: record for index, record in sorted(found.records.items()) if index in used},
        # Candidates are refused by the thousand, so they are named only where nothing is left.
        left_out={} if found.asked else dict(sorted(found.refused.items())),
    )


def spread_order(count: int) -> list[int]:
    """Return 0 ... count - 1 so that every beginning of the list is spread evenly (van der Corput's sequence)."""
    bits = max(1, (count - 1).bit_length())
    turned = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(2**bits))
    return [place for place in turned if place < count]
