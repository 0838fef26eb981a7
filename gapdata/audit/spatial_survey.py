"""Ask the records of a build spatial questions, and count what is asked, what is refused, and why."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdata.audit.question_spool import QuestionSpool
from gapdata.audit.spatial_blind import BlindRow, blind_table
from gapdata.engine.plan import read_plan
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.records.schema import Record
from gapdata.runtime.choices import check_choice
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.balance import left_out
from gapdata.tasks.spatial.kind import Kind
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question_file import AskedQuestion
from gapdata.tasks.task import QuestionOptions

REASONS_SHOWN = 3


@dataclass(slots=True, kw_only=True)
class QuestionSurvey:
    """What was asked of a build, by type of question."""

    records: int = 0
    asked: Counter[str] = field(default_factory=Counter)
    refused: dict[str, Counter[str]] = field(default_factory=dict)
    """Candidates that were looked at and not asked, by type and reason."""
    questions: QuestionSpool = field(default_factory=QuestionSpool)
    """Those that are asked, in the order of the records."""
    blind: tuple[BlindRow, ...] | None = None
    """What text alone reaches; ``None`` where that was not asked for."""

    @classmethod
    def of(cls, kinds: Iterable[str]) -> QuestionSurvey:
        """Return the survey in which nothing was asked yet, of questions of these types."""
        names = list(kinds)
        return cls(asked=Counter(dict.fromkeys(names, 0)), refused={name: Counter() for name in names})

    def balance(self) -> None:
        """Leave out the questions whose answers their texts tell (:mod:`gapdata.tasks.spatial.balance`)."""
        for form in self.questions.forms:
            items = self.questions.of_form(form)
            reasons = left_out(items)
            self.asked[form[0]] -= len(reasons)
            self.refused[form[0]].update(reasons.values())
            self.questions.keep(form, [item.id not in reasons for item in items])

    def guess_blindly(self) -> None:
        """Find out what text alone reaches."""
        rows = (blind_table(self.questions.of_form(form)) for form in self.questions.forms)
        self.blind = tuple(itertools.chain.from_iterable(rows))

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        fields: dict[str, Any] = {
            "records": self.records,
            "asked": dict(self.asked),
            "refused": {kind: dict(reasons.most_common()) for kind, reasons in self.refused.items()},
        }
        return fields if self.blind is None else fields | {"blind": [row.to_fields() for row in self.blind]}


def survey_questions(
    build: Location,
    options: QuestionOptions,
    *,
    kinds: Sequence[str] | None = None,
    split: str | None = None,
    seed: int = 0,
    balanced: bool = True,
) -> QuestionSurvey:
    """Ask every record of a build.

    Args:
        build: its folder.
        options: how questions are asked.
        kinds: types of question; ``None`` for all.
        split: only records of this split; ``None`` for all.
        seed: of all random choices.
        balanced: leave out what texts tell.

    Raises:
        UsageError: there is no such build or type.
    """
    wanted = wanted_kinds(kinds)
    survey = QuestionSurvey.of(wanted)
    places = places_by_scene(build)
    for record in _records(ShardReader(build), wanted, split):
        ask_record(survey, record, options, wanted, places, seed)
    if balanced:
        survey.balance()
    return survey


def wanted_kinds(names: Sequence[str] | None) -> dict[str, Kind]:
    """Return the types of question with these names; ``None`` for all.

    Raises:
        UsageError: there is no such type.
    """
    for name in names or ():
        check_choice("kind of question", name, KINDS)
    return {name: kind for name, kind in KINDS.items() if names is None or name in names}


def ask_record(
    survey: QuestionSurvey,
    record: Record,
    options: QuestionOptions,
    kinds: Mapping[str, Kind],
    places: Mapping[str, str],
    seed: int,
) -> None:
    """Ask one record and enter its questions into a survey.

    Args:
        survey: is added to.
        record: with its members where types need pixels.
        options: how questions are asked.
        kinds: types of question.
        places: of scenes, as :func:`places_by_scene` gives them.
        seed: of all random choices.
    """
    survey.records += 1
    for kind, asked, refused in spatial_questions(record, options, seed, kinds):
        survey.asked[kind.name] += len(asked)
        survey.refused[kind.name].update(refused)
        survey.questions.extend(
            AskedQuestion(
                id=f"{kind.name}/{record.key}/{number}",
                key=record.key,
                scene_id=record.scene_id,
                split=record.split,
                place=places.get(record.scene_id, ""),
                question=item,
            )
            for number, item in enumerate(asked)
        )


def places_by_scene(build: Location) -> dict[str, str]:
    """Return the place that each scene of a build shows, by its plan; empty where there is no plan that tells.

    Scenes that share any place have the same: the first of all that they are joined by.
    """
    try:
        named = {scene.scene_id: scene.places for scene in read_plan(build).scenes if scene.places}
    except UsageError:
        return {}
    parent = {place: place for places in named.values() for place in places}

    def root(place: str) -> str:
        while parent[place] != place:
            place = parent[place] = parent[parent[place]]
        return place

    for places in named.values():
        for other in places[1:]:
            one, two = sorted((root(places[0]), root(other)))
            parent[two] = one
    return {scene: root(places[0]) for scene, places in named.items()}


def _records(reader: ShardReader, kinds: Mapping[str, Kind], split: str | None) -> Iterator[Record]:
    """Yield the records, with their images only where a type needs them."""
    pixels = any(kind.pixels for kind in kinds.values())
    for index in reader.select(split=split):
        yield reader[index] if pixels else reader.without_images(index)


def format_survey(survey: QuestionSurvey) -> str:
    """Return the survey as text for a terminal."""
    lines = [f"{sum(survey.asked.values())} questions about {survey.records} records"]
    for kind, count in survey.asked.items():
        reasons = survey.refused[kind].most_common(REASONS_SHOWN)
        why = "; ".join(f"{number} {reason}" for reason, number in reasons)
        refused = survey.refused[kind].total()
        if not count and not refused:
            why = f"is asked about views of kind {' or '.join(KINDS[kind].views)} only"
        lines.append(f"  {kind:<16} {count:>7} asked, {refused:>7} refused{': ' + why if why else ''}")
    return "\n".join(lines)
