"""Published scorers read answers as they do in the figures that others report, with each of their known defects."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.tasks.spatial.mra import relative_accuracy
from gapmodel.evaluation.published import short_answers, spar, vsi


@pytest.mark.parametrize(
    ("text", "answer", "score"),
    [
        ("6", "4", 0.1),  # an error of exactly 0.5 passes the first threshold
        ("2", "4", 0.1),
        ("4", "5", 0.6),
        ("95", "100", 1.0),
        ("105", "100", 1.0),
        ("0", "3", 0.0),
        ("1.5 meters", "1.5", 1.0),
        ("1.5.", "1.5", 1.0),
        ("1.5m", "1.5", 0.0),
        ("About 2", "2", 0.0),
        ("1,200", "1200", 0.0),
        ("three", "3", 0.0),
        (" 2", "2", 0.0),  # the first word of a text that begins with a blank is empty
        ("nan", "3", 0.0),
        ("99", "-3", 1.0),  # divided by the truth, the error is negative
        ("3", "0", 0.0),
    ],
)
def test_vsi_bench_reads_the_first_word_as_a_number(text: str, answer: str, score: float) -> None:
    assert vsi.original(text, answer, letter=False) == score


@pytest.mark.parametrize(
    ("text", "right"),
    [("A", 1), ("a.", 1), ("A because", 1), ("(A)", 0), ("**A**", 0), ("A\nbecause", 0), ("A)", 0), ("", 0)],
)
def test_vsi_bench_and_lmms_eval_read_the_first_word_as_a_letter(text: str, right: int) -> None:
    assert vsi.original(text, "A", letter=True) == right
    assert vsi.lmms_eval(text, "A", letter=True) == right


@pytest.mark.parametrize(
    ("text", "answer"), [("About 2", "2"), ("1.5m", "1.5"), ("three chairs", "3"), ("There are Seven", "7")]
)
def test_lmms_eval_reads_the_first_number_also_in_words(text: str, answer: str) -> None:
    assert vsi.lmms_eval(text, answer, letter=False) == 1.0
    assert vsi.original(text, answer, letter=False) == 0.0


def test_lmms_eval_reads_no_number_where_there_is_none() -> None:
    assert vsi.lmms_eval("many", "3", letter=False) == 0.0
    assert vsi.lmms_eval("2 or 3", "3", letter=False) == vsi.lmms_eval("2", "3", letter=False)


@pytest.mark.parametrize(
    ("text", "letter"),
    [
        ("B", "B"),
        ("(b)", "B"),
        ("**C**", "C"),
        ("<answer>D. left</answer>", "D"),
        ("A is wrong</think>\nB", "B"),
        ("It could be A.\nB. the chair", "B"),
        ("I choose C because of it", "C"),
        ("A or B", None),
    ],
)
def test_vlmevalkit_reads_the_letter_that_an_explanation_ends_with(text: str, letter: str | None) -> None:
    assert [known for known in "ABCD" if vsi.vlmevalkit(text, known, letter=True)] == [letter] * (letter is not None)


def test_vlmevalkit_reads_the_last_number_after_the_thoughts() -> None:
    assert vsi.vlmevalkit("from 1 to 3", "3", letter=False) == 1.0
    assert vsi.vlmevalkit("1</think>two, or 2", "2", letter=False) == 1.0
    assert vsi.vlmevalkit("<answer>4 m</answer> 9", "4", letter=False) == 1.0
    assert vsi.vlmevalkit("none", "2", letter=False) == 0.0
    assert vsi.vlmevalkit("0.05", "0", letter=False) == 1.0
    assert vsi.vlmevalkit("-2", "-2", letter=False) == 1.0


@pytest.mark.parametrize(
    ("text", "answer", "right"),
    [
        ("A", "A", 1),
        ("", "A", 1),
        ("Answer: B", "A", 1),
        ("B", "A", 0),
        ("The answer is A", "A", 0),
        ("left", "LEFT", 1),
    ],
)
def test_spar_takes_a_part_of_the_truth_and_a_first_character_for_right(text: str, answer: str, right: int) -> None:
    assert spar.choice(text, answer) == right


@pytest.mark.parametrize(
    ("text", "several", "score"),
    [("2 or 4", False, 0.1), ("2 or 4", True, 1.0), ("none", False, 0.0), ("-4", True, 1.0)],
)
def test_spar_reads_the_first_number_of_one_view_and_the_last_of_several(
    text: str, several: bool, score: float
) -> None:
    assert spar.number(text, "4", multi_view=several) == score
    task = "depth_prediction_oo_mv" if several else "depth_prediction_oo"
    assert spar.original(text, "4", task) == score


def test_spar_compares_absolutely_where_the_truth_is_zero() -> None:
    assert spar.number("0.05", "0", multi_view=False) == 1.0
    assert spar.number("0.6", "0", multi_view=False) == 0.0


def test_spar_divides_the_error_of_a_change_of_view_by_the_answer() -> None:
    truth = "move_right:1,move_up:0,move_forward:2,rotate_left:30,rotate_up:0"
    assert spar.view_change(truth, truth) == spar.mended_view_change(truth, truth) == 1.0
    doubled = truth.replace("move_right:1", "move_right:2")
    assert spar.view_change(doubled, truth) == pytest.approx((4 + 0.1) / 5)  # |1 - 2| / 2
    assert spar.mended_view_change(doubled, truth) == pytest.approx(4 / 5)  # |2 - 1| / 1
    signs = truth.replace("move_right:1", "move_left:-1")
    assert spar.view_change(signs, truth) == 1.0


@pytest.mark.parametrize("text", ["", "move right 1 m", "move_right:one", "move_right:1:2", "move_right"])
def test_spar_scores_what_is_not_a_list_of_keys_with_nothing(text: str) -> None:
    truth = "move_right:1,rotate_up:10"
    assert spar.view_change(text, truth) == 0.0
    assert spar.mended_view_change(text, truth) == pytest.approx(3 / 5)  # three axes do not move


def test_spar_has_twenty_tasks_in_three_levels() -> None:
    assert {level: len(tasks) for level, tasks in spar.LEVELS.items()} == {"Low": 8, "Middle": 3, "High": 9}
    assert len({task for tasks in spar.LEVELS.values() for task in tasks}) == 20


@pytest.mark.parametrize(
    ("text", "answers", "exact", "refined"),
    [
        ("The brown chair.", ["brown chair", "desk"], 1, 1),
        ("2", ["two"], 1, 1),
        ("none", ["0"], 1, 1),
        ("rigth", ["right"], 1, 1),
        ("TV", ["tv"], 1, 1),
        ("let", ["left"], 1, 1),  # corrected although it may be meant
        ("chair1", ["chair"], 1, 1),
        ("backwards", ["backward"], 1, 1),
        ("", ["chair"], 0, 1),  # the empty answer is a part of every accepted one
        ("no", ["north"], 0, 1),
        ("a black chair", ["chair"], 0, 1),
        ("table", ["chair"], 0, 0),
    ],
)
def test_short_answers_match_after_leos_cleaning(text: str, answers: list[str], exact: int, refined: int) -> None:
    assert short_answers.exact_match(text, answers) == exact
    assert short_answers.refined_match(text, answers) == refined


@pytest.mark.parametrize(
    ("question", "name"),
    [
        ("What is behind me?", "what"),
        (" is it", "is"),
        ("Canned food?", "can"),
        ("Where am I", "others"),
        ("", "others"),
    ],
)
def test_sqa3ds_table_is_divided_by_how_a_question_begins(question: str, name: str) -> None:
    assert short_answers.sqa3d_type(question) == name


@given(st.text(), st.sampled_from(["A", "3", "0", "-2", "", "x"]))
def test_no_answer_makes_a_published_scorer_fail(text: str, answer: str) -> None:
    for letter in (False, True):
        for scorer in (vsi.original, vsi.lmms_eval, vsi.vlmevalkit):
            assert 0 <= scorer(text, answer, letter=letter) <= 1
    for task in (task for tasks in spar.LEVELS.values() for task in tasks):
        assert 0 <= spar.original(text, answer, task) <= 1
    assert 0 <= spar.mended_view_change(text, answer) <= 1
    assert short_answers.exact_match(text, [answer]) <= short_answers.refined_match(text, [answer])


@given(st.integers(1, 10_000), st.integers(1, 10_000))
def test_ours_and_theirs_agree_on_bare_positive_numbers(read: int, truth: int) -> None:
    ours = float(relative_accuracy(read / 100, truth / 100))
    for scorer in (vsi.original, vsi.lmms_eval, vsi.vlmevalkit):
        assert scorer(f"{read / 100:.2f}", f"{truth / 100:.2f}", letter=False) == ours
