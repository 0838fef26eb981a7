"""The selection leaves out what names tell, keeps what they do not, and depends on nothing but the questions."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapdata.audit.spatial_blind import BlindRow, blind_table
from gapdata.tasks.spatial.balance import TOLD, TWOS, left_out
from gapdata.tasks.spatial.kind import NotAsked
from gapdata.tasks.spatial.question import SpatialQuestion, shuffled, with_letters
from gapdata.tasks.spatial.question_file import AskedQuestion
from gapdata.tasks.spatial.wanted_answers import NOTHING_BESIDE, Drawn, draw_answers

LUCK = 0.04
"""Excess that some hundred questions reach by chance."""
NAMES = ("lamp", "table", "bed", "sofa", "desk", "plant", "shelf", "stool")


def placed(number: int, places: int, item: SpatialQuestion, splits: Sequence[str] = ("train",)) -> AskedQuestion:
    place = number % places
    names = {"id": f"{item.kind}/k/{number}", "key": "k", "scene_id": f"s{place}", "split": splits[place % len(splits)]}
    return AskedQuestion(**names, place=f"place {place}", question=item)


def sides(count: int, told: float, splits: Sequence[str] = ("train",), places: int = 40) -> list[AskedQuestion]:
    """Questions with two names, whose answer follows from them by the alphabet in a share ``told`` of the cases."""
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        one, other = rng.choice(NAMES, 2, replace=False).tolist()
        above = one < other if rng.random() < told else rng.random() < 0.5
        right, wrong = ("above", "below") if above else ("below", "above")
        options, letter = shuffled(right, [wrong], rng)
        item = SpatialQuestion(
            kind="relation",
            form="height",
            text=with_letters(f"In frame 1, is the {one} above or below the {other}?", options),
            answer=letter,
            value=1.0,
            margin=1.0,
            options=options,
            names=(one, other),
        )
        found.append(placed(number, places, item, splits))
    return found


def choices(count: int, favourite: float) -> list[AskedQuestion]:
    """Questions with four names to choose from, of which the lamp is right in a share ``favourite`` of its cases."""
    rng, found = np.random.default_rng(0), []
    for number in range(count):
        target, *others = rng.choice(NAMES, 5, replace=False).tolist()
        if "lamp" in others and rng.random() < favourite:
            others = ["lamp", *(name for name in others if name != "lamp")]
        options, letter = shuffled(others[0], others[1:], rng)
        item = SpatialQuestion(
            kind="nearest",
            text=with_letters(f"Which of these is nearest to the {target}?", options),
            answer=letter,
            value=1.0,
            margin=1.0,
            options=options,
            names=(target, *others),
        )
        found.append(placed(number, 40, item))
    return found


def kept(items: Sequence[AskedQuestion]) -> list[AskedQuestion]:
    out = left_out(items)
    return [item for item in items if item.id not in out]


def only_row(items: Sequence[AskedQuestion]) -> BlindRow:
    (row,) = blind_table(items)
    return row


def test_names_that_tell_the_answer_are_found_and_balanced() -> None:
    items = sides(1000, 0.6)
    before, after = only_row(items), only_row(kept(items))
    assert {"category", "words"} <= set(before.exceeding)
    assert before.scores["words"].excess > 0.2
    assert after.exceeding == ()
    assert max(score.excess for score in after.scores.values()) <= LUCK
    assert after.questions > 300
    assert set(left_out(items).values()) == {TOLD}


def test_an_option_that_is_right_too_often_is_found_and_balanced() -> None:
    items = choices(900, 0.5)
    before, after = only_row(items), only_row(kept(items))
    assert {"option text", "category", "words"} <= set(before.exceeding)
    assert after.exceeding == ()
    lamps = [item for item in kept(items) if "lamp" in item.question.options]
    share = np.mean([item.answer_text == "lamp" for item in lamps])
    assert abs(share - 0.25) < 0.1
    assert after.questions > 500


@pytest.mark.parametrize("items", [sides(800, 0.0), choices(800, 0.0)], ids=["sides", "choices"])
def test_what_names_do_not_tell_is_kept(items: list[AskedQuestion]) -> None:
    row = only_row(items)
    assert row.exceeding == ()
    for score in row.scores.values():
        assert score.excess_interval is not None
        assert score.excess_interval[0] <= 0.005
    assert len(kept(items)) > 0.85 * len(items)


@given(st.randoms(use_true_random=False), st.integers(0, 60), st.floats(0, 1))
@settings(max_examples=15, deadline=None)
def test_the_order_of_questions_does_not_matter(random: object, count: int, told: float) -> None:
    items = sides(count, told) + counted(count)
    other = list(items)
    random.shuffle(other)  # type: ignore[attr-defined]
    assert left_out(other) == left_out(items)


def test_what_is_chosen_over_all_splits_is_balanced_between_them() -> None:
    items = sides(1600, 0.8, splits=("train", "val"), places=80)
    chosen = kept(items)
    row = only_row(chosen)
    assert row.fitted == "train"
    assert max(score.excess for score in row.scores.values()) <= 1.5 * LUCK
    assert set(Counter(item.split for item in chosen)) == {"train", "val"}


def counted(count: int) -> list[AskedQuestion]:
    rng, found = np.random.default_rng(5), []
    for number in range(count):
        answer = int(rng.choice([2, 3, 4], p=[0.6, 0.3, 0.1]))
        name = NAMES[int(rng.integers(len(NAMES)))]
        text = f"How many objects of the kind {name} are in this room? Answer with the number."
        item = SpatialQuestion(kind="count", text=text, answer=str(answer), value=answer, margin=0.0, names=(name,))
        found.append(placed(number, 40, item))
    return found


def test_there_are_at_most_as_many_twos_as_threes() -> None:
    items = counted(400)
    answers = Counter(item.question.answer for item in kept(items))
    assert answers["2"] == answers["3"] == sum(item.question.answer == "3" for item in items)
    assert answers["4"] == sum(item.question.answer == "4" for item in items)
    assert set(left_out(items).values()) == {TWOS}


def drawn_of(
    candidates: Mapping[str, NDArray[np.int64]],
    rng: np.random.Generator,
    *,
    fewest: int,
    most: int,
    taken: set[int] | None = None,
) -> list[Drawn]:
    found = list(draw_answers(candidates, rng, fewest=fewest, most=most, taken=taken))
    drawn = [item for item in found if isinstance(item, Drawn)]
    total = len(np.unique(np.concatenate(list(candidates.values()))))
    assert found[len(drawn) :] == [
        NotAsked(NOTHING_BESIDE, total - len({*(taken or ()), *(d.candidate for d in drawn)}))
    ]
    return drawn


def test_answers_are_drawn_equally_often_among_those_that_are_offered() -> None:
    candidates = {
        "often": np.arange(900),
        "rarely": np.arange(900, 1000),
        "never": np.arange(0),
        "once": np.array([1000]),
    }
    offered: dict[frozenset[str], Counter[str]] = defaultdict(Counter)
    for seed in range(200):
        drawn = drawn_of(candidates, np.random.default_rng(seed), fewest=2, most=2)
        assert len({item.candidate for item in drawn}) == len(drawn)
        assert all(item.candidate in candidates[item.answer] for item in drawn)
        for item in drawn[:50]:
            offered[frozenset([item.answer, *item.wrong])][item.answer] += 1
    assert {name for names in offered for name in names} == {"often", "rarely", "once"}
    for names, answers in offered.items():
        share = answers[min(names)] / answers.total()
        assert abs(share - 0.5) < 2 / np.sqrt(answers.total())


def test_answers_are_drawn_until_too_few_are_left_and_no_candidate_twice() -> None:
    candidates = {"one": np.arange(10), "two": np.arange(10, 12), "three": np.arange(12, 30)}
    rng, taken = np.random.default_rng(1), {10}
    drawn = drawn_of(candidates, rng, fewest=3, most=3, taken=taken)
    assert [item.candidate for item in drawn].count(11) == 1
    assert drawn[-1].candidate == 11 or max(Counter(item.answer for item in drawn).values()) == 18
    assert taken == {10, *(item.candidate for item in drawn)}
    assert all({item.answer, *item.wrong} == set(candidates) for item in drawn)
    assert list(draw_answers({"one": np.arange(3)}, rng, fewest=2, most=4)) == [NotAsked(NOTHING_BESIDE, 3)]
    assert list(draw_answers({}, rng, fewest=0, most=4)) == []
