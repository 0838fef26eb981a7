"""The questions about space that a view is asked: types drawn by weight, as many as the recipe wants.

A question is made from the view as the model sees it: of the chosen frames, mirrored or not. Which questions these are
follows from the seed, the record's key, the type and the epoch alone; those of the first epoch about an unchanged view
are among those that ``gapdata questions`` writes with the same seed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from gapdata.records.schema import Record
from gapdata.seeding import generator_for
from gapdata.shards.records import Records
from gapdata.tasks.spatial.kind import ask
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.question_index import question_index
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe, spatial_types

LOOKED_AT = 32
"""Records that are asked before a run: all of a large build would take longer than its first steps."""


def needs_pixels(types: Iterable[str]) -> bool:
    """Return whether some of these types are read off depth and masks."""
    return any(KINDS[name].pixels for name in types)


def most_questions(data: DataRecipe) -> int:
    """Return the most questions about a view in one epoch."""
    return min(data.questions_per_view, data.per_kind * len(spatial_types(data)))


def draw_questions(facts: ViewFacts, data: DataRecipe, seed: int, epoch: int) -> list[tuple[str, SpatialQuestion]]:
    """Return the questions of an epoch about a view, each with its name: the type, and its place among those.

    Each question's type is drawn by weight among the types that have one left, so that a view without a floor is asked
    as many questions as any other.

    Args:
        facts: of the view as it is shown.
        data: the section of the recipe.
        seed: the recipe's.
        epoch: of the stream; each asks anew.
    """
    again = (str(epoch),) if epoch else ()
    key = facts.record.key
    rng = generator_for(seed, "types", key, *again)
    weights = dict(spatial_types(data))
    left: dict[str, list[SpatialQuestion]] = {}
    drawn: Counter[str] = Counter()
    found: list[tuple[str, SpatialQuestion]] = []
    while weights and len(found) < data.questions_per_view:
        shares = np.array(list(weights.values())) / sum(weights.values())
        name = list(weights)[rng.choice(len(shares), p=shares)]
        if name not in left:
            left[name], _ = ask(KINDS[name], facts, data.per_kind, generator_for(seed, "spatial", key, name, *again))
        if left[name]:
            found.append((f"{name}-{drawn[name]}", left[name].pop(0)))
            drawn[name] += 1
        else:
            del weights[name]
    return found


def type_of(key: str) -> str:
    """Return the type of question that a training example's key ends with."""
    return key.rpartition("/")[2].rpartition("-")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class TypeSurvey:
    """What some records can be asked, by type, and why not."""

    looked: int = 0
    empty: int = 0  # records without any question
    asked: Mapping[str, int] = field(default_factory=dict)  # records with a question of the type
    refused: Mapping[str, Mapping[str, int]] = field(default_factory=dict)  # candidates by type and reason
    texts: tuple[str, ...] = ()  # questions and answers


def looked_at(chosen: Sequence[int], data: DataRecipe) -> list[int]:
    """Return the records that are asked before a run, evenly spaced; all where their questions are in a file."""
    if data.questions:
        return list(chosen)
    count = min(LOOKED_AT, len(chosen))
    return [chosen[place * len(chosen) // count] for place in range(count)]


def survey_types(reader: Records, chosen: Iterable[int], data: DataRecipe) -> TypeSurvey:
    """Ask these records all types of a recipe, without variations.

    Args:
        reader: where they are.
        chosen: their positions.
        data: the section of the recipe.
    """
    types = spatial_types(data)
    if data.questions:
        return _survey_of_file(reader, chosen, data)
    asked, refused = Counter(dict.fromkeys(types, 0)), {name: Counter[str]() for name in types}
    texts: list[str] = []
    looked = empty = 0
    for index in chosen:
        looked += 1
        record = reader[index] if needs_pixels(types) else reader.without_images(index)
        before = asked.total()
        for kind, found, reasons in spatial_questions(
            _shown(record, data), question_options(data), 0, {name: KINDS[name] for name in types}
        ):
            asked[kind.name] += bool(found)
            refused[kind.name].update(reasons)
            texts += [text for item in found for text in (item.text, item.answer)]
        empty += asked.total() == before
    return TypeSurvey(looked=looked, empty=empty, asked=asked, refused=refused, texts=tuple(texts))


def _survey_of_file(reader: Records, chosen: Iterable[int], data: DataRecipe) -> TypeSurvey:
    index, types = question_index(Path(data.questions)), spatial_types(data)
    held = {position: index.counts(reader.keys[position], types) for position in chosen}
    read = (reader.without_images(position) for position in list(held)[:LOOKED_AT])
    said = [item.question for record in read for item in index.about(record, types)]
    return TypeSurvey(
        looked=len(held),
        empty=sum(not counts for counts in held.values()),
        asked={name: sum(name in counts for counts in held.values()) for name in types},
        refused={name: {f"{data.questions} has none about these records": 1} for name in types},
        texts=tuple(text for item in said for text in (item.text, item.answer)),
    )


def _shown(record: Record, data: DataRecipe) -> Record:
    return record.subset(range(min(data.frames or len(record), len(record))))
