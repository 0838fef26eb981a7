"""The key agrees with every answer, every kind of answer is given, and the margins carry what they promise."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.end_to_end.oracle.conftest import Rooms
from tests.end_to_end.oracle.exam import Asked, Exam, ask
from tests.end_to_end.oracle.flights import ask_about_flights
from tests.end_to_end.oracle.key.grammar import LETTERS, render
from tests.end_to_end.oracle.key.marking import ANSWERS, mark_answer
from tests.end_to_end.oracle.twins import jittered

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("oracle")]
LEAST = 2000
SEEDS = 3
POSES, BOXES, ERODED = 0.005, 0.01, 1
"""Metres, metres and pixels by which cameras, boxes and masks are off where a letter must stay."""
RARE = {"nearest: never C", "route : never 'straight on'", "route: never D"}
"""Answers that these few rooms need not have; in ``make oracle`` every one is missed."""


@pytest.fixture(scope="module")
def asked(plain: Rooms, noisy: Rooms) -> tuple[Exam, list[Asked]]:
    """All questions about the rooms, and what the key says."""
    exam, found = Exam(), []
    rng = np.random.default_rng(0)
    for rooms, seeds in ((plain, range(SEEDS)), (noisy, range(1))):
        found += list(ask(rooms.records, rooms.options, exam, seeds=seeds, room_of=rooms.truth))
        exam.seen.clear()  # other rooms have scans of the same names
    for record in plain.records:
        if record.view == "clip":
            room = plain.truth(record.scene_id)
            found += ask_about_flights(record, room, plain.options, exam, flights=2, rng=rng)
    print(exam.summary())
    return exam, found


def test_the_key_agrees_with_every_answer(asked: tuple[Exam, list[Asked]]) -> None:
    exam, _ = asked
    assert exam.total >= LEAST
    assert exam.faults == []


def test_every_answer_is_given(asked: tuple[Exam, list[Asked]]) -> None:
    assert set(asked[0].missing()) <= RARE


def test_the_key_finds_answers_that_are_made_wrong(asked: tuple[Exam, list[Asked]]) -> None:
    kinds = set()
    for item in asked[1]:
        question = item.question
        if question.options:
            wrong = LETTERS[(LETTERS.index(question.answer) + 1) % len(question.options)]
        else:
            step = 1.0 if "." not in question.answer else 0.1
            away = -4 * step if question.answer.startswith("-") else 4 * step
            wrong = f"{float(question.answer) * 1.3 + away:.{len(question.answer.partition('.')[2])}f}"
        assert mark_answer(question.text, wrong, item.view).faults, (question.text, wrong)
        kinds.add(question.kind)
    assert kinds == set(ANSWERS)


def test_a_letter_follows_its_text_where_options_are_permuted(asked: tuple[Exam, list[Asked]]) -> None:
    rng = np.random.default_rng(0)
    for item in asked[1]:
        options = item.mark.asked.options
        if options and not options[0].startswith("cross"):
            order = rng.permutation(len(options)).tolist()
            other = replace(item.mark.asked, options=tuple(options[place] for place in order))
            letter = LETTERS[order.index(LETTERS.index(item.question.answer))]
            assert not mark_answer(render(other), letter, item.view).faults


def test_letters_stay_where_cameras_boxes_and_masks_are_a_little_off(
    plain: Rooms, asked: tuple[Exam, list[Asked]]
) -> None:
    rng = np.random.default_rng(0)
    other = {
        record.scene_id: plain.truth(record.scene_id).perturbed(rng, poses=POSES, boxes=BOXES, eroded=ERODED)
        for record in plain.records
    }
    marked = 0
    for item in asked[1]:
        if item.question.options and item.view.noise == 0 and "flight" not in item.record.key:
            view = replace(item.view, room=other[item.record.scene_id])
            right = ANSWERS[item.question.kind](item.mark.asked, view).right
            letters = [letter for letter, fits in zip(LETTERS, right, strict=False) if fits]
            assert letters == [item.question.answer], (item.record.key, item.question.text)
            marked += 1
    assert marked > 500


def test_questions_about_records_a_little_off_have_the_same_answers(
    plain: Rooms, asked: tuple[Exam, list[Asked]]
) -> None:
    rng = np.random.default_rng(1)
    records = [jittered(record, rng, poses=POSES, boxes=BOXES, eroded=ERODED) for record in plain.records]
    told = {_same(item): _answer(item) for item in asked[1] if item.view.noise == 0}
    again = list(ask(records, plain.options, Exam(), seeds=range(SEEDS), room_of=plain.truth))
    both = [(told[_same(item)], _answer(item), item) for item in again if _same(item) in told]
    for before, after, item in both:
        assert before == after, (item.record.key, item.question.text)
    kinds = {item.question.kind for _, _, item in both}
    assert len(both) > 300
    # Marks are not drawn again on the same pixels, because eroded masks leave fewer of them.
    assert {"nearest", "direction", "order", "relation", "imagined_view", "route"} <= kinds


def _same(item: Asked) -> tuple[object, ...]:
    """What a letter question is about, whatever the order of its options."""
    asked = item.mark.asked
    marks = tuple((mark.frame, mark.pixel, mark.number) for mark in item.view.marks)
    kept = frozenset(", ".join(asked.options).split(", ")) if asked.kind != "camera_direction" else None
    return item.record.key, asked.kind, asked.form, asked.names, asked.frames, kept, marks, bool(asked.options)


def _answer(item: Asked) -> str | None:
    """The text of the right option; numbers follow what is measured, and may differ."""
    options = item.mark.asked.options
    return options[LETTERS.index(item.question.answer)] if options else None
