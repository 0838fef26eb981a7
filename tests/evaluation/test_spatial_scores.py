"""Spatial questions score as computed by hand, by type, by form and over all types."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.tasks.spatial.kinds import KINDS
from gapdata.tasks.spatial.question import LETTERS, SpatialQuestion
from gapmodel.evaluation.spatial_baselines import fit_blind
from gapmodel.evaluation.spatial_overall import DIRECTIONS, LEVELS, overall
from gapmodel.evaluation.spatial_scores import (
    NOT_AN_OPTION,
    SPAR_TYPES,
    VSI_SCORERS,
    VSI_TYPES,
    SpatialAnswer,
    answer_scored,
    published_scorers,
    summarised,
    unit_of,
)


def question(kind: str, answer: str, **changes: Any) -> SpatialQuestion:
    options = changes.pop("options", ("left", "right", "front", "back") if answer in LETTERS else ())
    return SpatialQuestion(kind=kind, text="?", answer=answer, value=0.0, margin=0.0, options=options, **changes)


def scored(kind: str, answer: str, text: str, scene: str = "a", frames: int = 1, **changes: Any) -> SpatialAnswer:
    return answer_scored(question(kind, answer, **changes), text, scene, frames)


def test_numbers_score_their_mean_relative_accuracy() -> None:
    answers = [scored("count", "4", text) for text in ("4", "6", "5.", "many", "0")]
    scores = summarised(answers, "count")
    # 1; an error of exactly 0.5 passes one threshold of ten; 0.25 passes six; unreadable; an error of 1.
    assert [item.score for item in answers] == [1.0, 0.1, 0.6, 0.0, 0.0]
    assert scores.score == pytest.approx(1.7 / 5)
    assert scores.exact == pytest.approx(1 / 5)
    assert (scores.questions, scores.unparsable, scores.reasons) == (5, 1, {"no number": 1})
    assert scores.median_error == pytest.approx(1.5)  # of 0, 1, 2 and 4
    assert scores.median_relative_error == pytest.approx(0.375)
    assert math.isnan(scores.chance)
    assert math.isnan(scores.caa)


def test_letters_score_their_accuracy_and_what_is_above_chance() -> None:
    answers = [
        scored("direction", "A", "A. left", options=("left", "right"), form="left-right"),
        scored("direction", "C", "(c)", form="quarters"),
        scored("direction", "C", "D", form="quarters"),
        scored("direction", "C", "I would say C", form="quarters"),
        scored("direction", "B", "C", options=("left", "right"), form="left-right"),
    ]
    scores = summarised(answers, "direction")
    assert scores.score == pytest.approx(2 / 5)
    assert scores.chance == pytest.approx((2 / 2 + 3 / 4) / 5)
    assert scores.caa == pytest.approx((2 - 1.75) / (5 - 1.75))
    assert scores.reasons == {"does not begin with a letter": 1, NOT_AN_OPTION: 1}
    assert math.isnan(scores.median_error)
    sides, quarters = scores.by_form["left-right"], scores.by_form["quarters"]
    assert (sides.questions, sides.score, sides.caa) == (2, 0.5, 0.0)
    assert quarters.score == pytest.approx(1 / 3)
    assert quarters.caa == pytest.approx((1 - 0.75) / (3 - 0.75))


def test_published_programs_score_the_same_answers_otherwise() -> None:
    about = scored("distance", "2.00", "About 2 m", frames=4)
    assert about.score == 1.0
    assert about.published == {"VSI-Bench": 0.0, "lmms-eval": 1.0, "VLMEvalKit": 1.0, "SPAR-Bench": 1.0}
    empty = scored("nearest", "A", "")
    assert empty.score == 0.0
    assert empty.published == {"VSI-Bench": 0.0, "lmms-eval": 0.0, "VLMEvalKit": 0.0, "SPAR-Bench": 1.0}
    two = "2.00 or 4.00"
    assert scored("pixel_depth", "2.00", two, frames=1).published == {"SPAR-Bench": 1.0}
    assert scored("pixel_depth", "2.00", two, frames=2).published == {"SPAR-Bench": 0.0}
    assert published_scorers("camera_motion") == {}


@given(st.integers(1, 1000), st.integers(0, 3000))
def test_too_much_is_punished_more_than_too_little(truth: int, said: int) -> None:
    score = scored("size", str(truth), str(said)).score
    assert score <= 0.1 or said < 1.5 * truth
    assert score == 0.0 or said > 0


def test_every_type_of_a_benchmark_is_one_of_ours() -> None:
    assert {*VSI_TYPES, *SPAR_TYPES} <= set(KINDS)
    levels = [name for names in LEVELS.values() for name in names]
    assert set(levels) == {*SPAR_TYPES, "camera_motion"}
    assert len(set(levels)) == len(levels)
    for name, kind in KINDS.items():
        numbers = kind.metric == "number" and name != "camera_motion"  # its forms have different units
        assert (unit_of(name) is not None) == numbers
    assert (unit_of("camera_motion", "step"), unit_of("camera_motion", "turn")) == ("m", "degrees")


@given(st.text(), st.sampled_from(sorted(KINDS)), st.integers(1, 5))
def test_no_text_makes_the_scores_fail(text: str, kind: str, frames: int) -> None:
    answer = "A" if KINDS[kind].metric == "letter" else "-1.5"
    item = scored(kind, answer, text, frames=frames)
    assert 0 <= item.score <= 1
    assert all(0 <= score <= 1 for score in item.published.values())


def test_constant_answers_are_fitted_by_form_and_by_name() -> None:
    sizes = [("table", "100"), ("table", "120"), ("table", "140"), ("chair", "50"), ("chair", "52")]
    blind = fit_blind([question("size", answer, names=(name,)) for name, answer in sizes])
    assert blind is not None
    # Against 100, 120 and 140: errors of 0, 1/6 and 2/7 pass 10, 7 and 5 thresholds; 120 passes 7, 10 and 8.
    assert blind.to(question("size", "1")) == "120"
    named = {
        name: blind.to(question("size", "1", names=(name,)), by_category=True) for name in ("table", "chair", "bed")
    }
    assert {name: float(answer) for name, answer in named.items()} == {"table": 120.0, "chair": 51.0, "bed": 120.0}
    pair = [question("distance", "2.00", names=("a", "b")), question("distance", "2.00", names=("b", "a"))]
    found = fit_blind(pair)
    assert found is not None
    assert len(found.by_category) == 1
    assert fit_blind([]) is None


def test_constant_letters_are_the_commonest_letter_or_the_commonest_text() -> None:
    left_right, turned = ("left", "right"), ("right", "left")
    known = [
        question("direction", "A", options=left_right, form="left-right"),
        question("direction", "B", options=turned, form="left-right"),
        question("direction", "B", options=left_right, form="left-right"),
    ]
    blind = fit_blind(known)
    assert blind is not None
    item = question("direction", "A", options=left_right, form="left-right")
    assert blind.to(item) == "B"
    assert blind.to(item, by_category=True) == "A"  # "left" was right twice
    other = question("direction", "A", options=("front left", "back left"), form="quarters")
    assert blind.to(other, by_category=True) == "B"


def answers_of(scores: dict[str, list[float]], form: str = "") -> dict[str, list[SpatialAnswer]]:
    """One answer to a type in each of two scenes."""
    return {
        name: [
            SpatialAnswer(
                scene=f"scene {place}", form=form, score=score, published=dict.fromkeys(VSI_PUBLISHED, score / 2)
            )
            for place, score in enumerate(values)
        ]
        for name, values in scores.items()
    }


VSI_PUBLISHED = tuple(VSI_SCORERS)


def test_vsi_benchs_mean_has_eight_equal_parts_of_which_one_is_the_mean_of_three_directions() -> None:
    answers = answers_of({name: [0.5, 0.5] for name in VSI_TYPES if name != "direction"} | {"relation": [0.0, 0.0]})
    forms = [
        answers_of({"direction": [score] * count}, form)
        for form, score, count in zip(DIRECTIONS, (1, 0, 0.2), (2, 9, 2), strict=True)
    ]
    answers["direction"] = [item for form in forms for item in form["direction"]]
    found = overall(answers)
    assert found.vsi.value == found.vsi.of_asked == pytest.approx((7 * 0.5 + 0.4) / 8)
    assert found.vsi.missing == ()
    assert found.vsi_published == pytest.approx(dict.fromkeys(VSI_PUBLISHED, (7 * 0.25 + 0.2) / 8))


def test_a_missing_type_is_named_and_takes_the_overall_figure_away() -> None:
    answers = answers_of({"count": [1.0, 0.0], "room": [0.4, 0.4]})
    answers |= answers_of({"direction": [0.6, 0.6]}, "thirds")
    found = overall(answers)
    assert math.isnan(found.vsi.value)
    assert found.vsi.of_asked == pytest.approx((0.5 + 0.4 + 0.6) / 3)
    assert found.vsi.missing == (
        *("distance", "nearest", "size", "direction left-right", "direction quarters", "order", "route"),
    )
    assert found.vsi.interval is not None
    assert found.vsi.interval[0] == pytest.approx((0.0 + 0.4 + 0.6) / 3)  # both draws of the scene that scores 0
    assert found.vsi.interval[1] == pytest.approx((1.0 + 0.4 + 0.6) / 3)
    nothing = found.spar["overall"]
    assert math.isnan(nothing.of_asked)
    assert nothing.interval is None


def test_spars_levels_and_its_mean_over_all_types() -> None:
    low, middle, high = LEVELS.values()
    answers = answers_of({name: [1.0, 1.0] for name in low} | {name: [0.5, 0.5] for name in middle})
    answers |= answers_of({name: [0.0, 0.0] for name in high})
    found = overall(answers).spar
    assert {level: figure.value for level, figure in found.items()} == pytest.approx(
        {"Low": 1.0, "Middle": 0.5, "High": 0.0, "overall": (3 * 1.0 + 3 * 0.5 + 4 * 0.0) / 10}
    )
    assert found["Middle"].interval == (0.5, 0.5)
    assert overall({name: items[:1] for name, items in answers.items()}).spar["Low"].interval is None


def test_figures_are_the_same_in_any_order_of_questions_and_for_any_number_of_them() -> None:
    answers = answers_of({name: [0.1, 0.9] for name in VSI_TYPES if name != "direction"})
    turned = {name: items[::-1] for name, items in reversed(answers.items())}
    assert overall(answers, seed=3).vsi.interval == pytest.approx(overall(turned, seed=3).vsi.interval)
