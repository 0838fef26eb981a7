"""The questions about space that the page shows: asked of a sample of the records, or read from a question file."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from gapdata.audit.question_summary import read_refused
from gapdata.audit.spatial_survey import QuestionSurvey, ask_record, places_by_scene
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.records.codec import member_name
from gapdata.records.schema import Record
from gapdata.report.contents import BuildContents, chosen_views
from gapdata.report.opened import OpenedRecords
from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question_file import read_questions
from gapdata.tasks.task import QuestionOptions

SAMPLED = 48
"""Records that are asked: decoding their depth and masks takes most of the time."""
PER_KIND = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class SpaceSample:
    """Questions about records of a build."""

    survey: QuestionSurvey
    positions: Mapping[str, int]
    """Positions of the records in the index, by their keys."""
    file: str = ""
    """Name of the file that the questions are from; empty if a sample of the records was asked."""


def ask_sample(build: Location, contents: BuildContents, opened: OpenedRecords) -> SpaceSample:
    """Ask records of all kinds of view, evenly spread, and choose among the questions as `gapdata questions` does."""
    survey, positions = QuestionSurvey.of(KINDS), dict[str, int]()
    places, options = places_by_scene(build), QuestionOptions(per_kind=PER_KIND)
    frames = contents.columns["frames"]
    for position in chosen_views(contents.text("view"), SAMPLED):
        count = int(frames[position])
        names = {member_name(frame, suffix) for frame in range(count) for suffix in ("depth.png", "instance.png")}
        key = opened.read(position, partial(_ask, survey, options, places), names)
        if key is not None:
            positions[key] = position
    survey.balance()
    survey.guess_blindly()
    return SpaceSample(survey=survey, positions=positions)


def read_sample(path: Path, contents: BuildContents) -> SpaceSample:
    """Read a question file about the build.

    Raises:
        UsageError: it cannot be read, or asks about records that the build does not have.
    """
    questions = read_questions(path)
    positions = {key: position for position, key in enumerate(contents.text("key"))}
    lengths = contents.columns["frames"]
    for item in questions:
        if item.key not in positions:
            problem = f"asks about record {item.key}, which the build lacks"
        elif item.question.fewest_frames > lengths[positions[item.key]]:
            problem = f"question {item.id} is about a frame that its record lacks"
        else:
            continue
        raise UsageError(problem, path=path, cure="give a question file of this build")
    survey = QuestionSurvey.of(KINDS)
    survey.questions.extend(questions)
    survey.records = len({item.key for item in questions})
    survey.asked.update(item.question.kind for item in questions)
    survey.refused = {kind: Counter() for kind in survey.asked} | read_refused(path)
    survey.guess_blindly()
    return SpaceSample(survey=survey, positions=positions, file=path.name)


def _ask(survey: QuestionSurvey, options: QuestionOptions, places: Mapping[str, str], record: Record) -> str:
    ask_record(survey, record, options, KINDS, places, 0)
    return record.key
