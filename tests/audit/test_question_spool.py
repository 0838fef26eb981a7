"""Questions come back from the temporary file as they were, are balanced as in a list, and take little memory."""

from __future__ import annotations

import gc
import tracemalloc

import pytest

from gapdata.audit import question_spool
from gapdata.audit.question_spool import QuestionSpool
from gapdata.audit.spatial_blind import blind_table
from gapdata.audit.spatial_survey import QuestionSurvey
from gapdata.tasks.chat import Mark
from gapdata.tasks.spatial.balance import left_out
from gapdata.tasks.spatial.question import SpatialQuestion
from gapdata.tasks.spatial.question_file import AskedQuestion
from tests.tasks.spatial.test_balance import choices, placed, sides

LARGEST = 40
"""Bytes of memory a question, of which its line has some five hundred."""


def questions() -> list[AskedQuestion]:
    """Questions of three forms in turn, of which the texts tell much."""
    marked = SpatialQuestion(
        kind="pixel_depth",
        text="How far is point 1, \u00e9?",
        answer="1.5",
        value=1.5000000000000002,
        margin=0.0,
        frames=(0,),
        marks=(Mark(frame=0, pixel=(3, 4), number=1),),
    )
    groups = sides(200, 0.9), choices(200, 0.9), [placed(number, 9, marked) for number in range(200)]
    return [item for row in zip(*groups, strict=True) for item in row]


@pytest.mark.parametrize("in_memory", [question_spool.IN_MEMORY, 1000])
def test_questions_come_back_in_their_order(monkeypatch: pytest.MonkeyPatch, in_memory: int) -> None:
    monkeypatch.setattr(question_spool, "IN_MEMORY", in_memory)
    items, spool = questions(), QuestionSpool()
    for place in range(0, len(items), 50):
        spool.extend(items[place : place + 50])
        assert list(spool) == items[: place + 50]
    assert len(spool) == len(items)
    assert b"".join(spool.lines()) == "".join(item.to_line() for item in items).encode()
    assert spool.forms == (("relation", "height"), ("nearest", ""), ("pixel_depth", ""))
    assert spool.of_form(("nearest", "")) == items[1::3]


def test_a_survey_balances_and_guesses_as_of_a_list() -> None:
    items = questions()
    survey = QuestionSurvey.of(["relation", "nearest", "pixel_depth"])
    survey.questions.extend(items)
    survey.asked.update(item.question.kind for item in items)
    survey.balance()
    out = left_out(items)
    assert out
    kept = [item for item in items if item.id not in out]
    assert list(survey.questions) == kept
    assert survey.asked.total() == len(kept)
    assert sum(reasons.total() for reasons in survey.refused.values()) == len(out)
    survey.guess_blindly()
    assert survey.blind == blind_table(kept)


def test_a_question_takes_little_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(question_spool, "IN_MEMORY", 1000)
    items, spool = questions(), QuestionSpool()
    spool.extend(items)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(5):
        spool.extend(items)
    gc.collect()
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert taken < LARGEST * 5 * len(items)
