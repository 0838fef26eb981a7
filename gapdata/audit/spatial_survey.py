"""Ask all records of a build spatial questions, and count what is asked, what is refused, and why."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.kind import Kind
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.task import QuestionOptions

REASONS_SHOWN = 3


@dataclass(slots=True, kw_only=True)
class QuestionSurvey:
    """What was asked of a build, by type of question."""

    records: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    """Candidates that were looked at and not asked, by type and reason."""

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        return {
            "records": self.records,
            "asked": dict(self.asked),
            "refused": {kind: dict(reasons.most_common()) for kind, reasons in self.refused.items()},
        }


def survey_questions(
    build: Location,
    options: QuestionOptions,
    *,
    kinds: Sequence[str] | None = None,
    split: str | None = None,
    seed: int = 0,
    out: Path | None = None,
) -> QuestionSurvey:
    """Ask every record of a build.

    Args:
        build: its folder.
        options: how questions are asked.
        kinds: types of question; ``None`` for all.
        split: only records of this split; ``None`` for all.
        seed: of all random choices.
        out: where the questions go, a JSON object a line; ``None`` for nowhere.

    Raises:
        UsageError: there is no such build or type.
    """
    for name in kinds or ():
        check_choice("kind of question", name, KINDS)
    wanted = {name: kind for name, kind in KINDS.items() if kinds is None or name in kinds}
    survey = QuestionSurvey(asked=Counter(dict.fromkeys(wanted, 0)), refused={name: Counter() for name in wanted})
    lines: list[str] = []
    for record in _records(ShardReader(build), wanted, split):
        survey.records += 1
        for kind, asked, refused in spatial_questions(record, options, seed, wanted):
            survey.asked[kind.name] += len(asked)
            survey.refused[kind.name].update(refused)
            if out is not None:
                lines += [json.dumps(question_fields(record, item, index)) for index, item in enumerate(asked)]
    if out is not None:
        write_atomically(out, "".join(f"{line}\n" for line in lines).encode())
    return survey


def _records(reader: ShardReader, kinds: dict[str, Kind], split: str | None) -> Iterator[Record]:
    """Yield the records, with their images only where a type needs them."""
    pixels = any(kind.pixels for kind in kinds.values())
    for index in reader.select(split=split):
        yield reader[index] if pixels else reader.without_images(index)


def question_fields(record: Record, item: SpatialQuestion, index: int) -> dict[str, Any]:
    """Return a question with its provenance as plain values.

    Args:
        record: that it is about.
        item: the question.
        index: its place among those of its type about this record.
    """
    fields = {name: value for name, value in dataclasses.asdict(item).items() if value not in ((), None)}
    return {"id": f"{item.kind}/{record.key}/{index}", "key": record.key, "scene_id": record.scene_id, **fields}


def format_survey(survey: QuestionSurvey) -> str:
    """Return the survey as text for a terminal."""
    lines = [f"{sum(survey.asked.values())} questions about {survey.records} records"]
    for kind, count in survey.asked.items():
        reasons = survey.refused[kind].most_common(REASONS_SHOWN)
        why = "; ".join(f"{number} {reason}" for reason, number in reasons)
        refused = survey.refused[kind].total()
        lines.append(f"  {kind:<16} {count:>7} asked, {refused:>7} refused{': ' + why if why else ''}")
    return "\n".join(lines)
