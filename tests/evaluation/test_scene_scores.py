"""Stage 1 scores of answers and scenes, and the bootstrap, against plain computations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.geometry.boxes import rotation_from_euler
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.pointmap import PointmapAnswer, answer_text
from gapmodel.evaluation import pointmap, reconstruction
from gapmodel.evaluation.confidence import mean_interval, median_interval, ratio_interval


def point(*values: float, label: str | None = None) -> PointmapAnswer:
    return PointmapAnswer(point=(values[0], values[1], values[2]), label=label)


def cloud(seed: int, count: int = 30) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-2, 2, (count, 3))


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 20), st.booleans())
def test_alignment_finds_the_similarity_that_was_applied(seed: int, scale: float, flat: bool) -> None:
    rng = np.random.default_rng(seed)
    source = cloud(seed, 12) * (1, 1, 0 if flat else 1)
    rotation = rotation_from_euler(rng.uniform(-3, 3, 3), "intrinsic_zxy")
    target = scale * source @ rotation.T + rng.uniform(-5, 5, 3)
    found = reconstruction.umeyama(source, target)
    np.testing.assert_allclose(found[0] * source @ found[1].T + found[2], target, atol=1e-9)
    assert np.linalg.det(found[1]) == pytest.approx(1.0)
    assert found[0] == pytest.approx(scale)


def test_alignment_is_the_least_squares_one_even_for_a_mirrored_cloud() -> None:
    source, target = cloud(1), cloud(1) * (-1, 1, 1) + np.random.default_rng(2).normal(0, 0.1, (30, 3))
    scale, rotation, translation = reconstruction.umeyama(source, target)
    best = np.square(scale * source @ rotation.T + translation - target).sum()
    rng = np.random.default_rng(3)
    for _ in range(200):
        step = rotation_from_euler(rng.normal(0, 0.02, 3), "intrinsic_zxy") @ rotation
        other = scale * rng.normal(1, 0.02) * source @ step.T + translation + rng.normal(0, 0.02, 3)
        assert np.square(other - target).sum() >= best
    assert np.linalg.det(rotation) == pytest.approx(1.0)


def test_points_that_coincide_are_moved_alone() -> None:
    scale, rotation, translation = reconstruction.umeyama(np.ones((4, 3)), cloud(0, 4))
    assert scale == 1.0
    np.testing.assert_array_equal(rotation, np.eye(3))
    np.testing.assert_allclose(np.ones(3) + translation, cloud(0, 4).mean(axis=0))


def test_clouds_are_compared_both_ways() -> None:
    predicted, true = cloud(4), cloud(5, 20)
    table = np.linalg.norm(predicted[:, None] - true[None], axis=-1)
    scores = reconstruction.cloud_scores(predicted, true)
    assert scores.accuracy == pytest.approx(table.min(axis=1).mean())
    assert scores.completeness == pytest.approx(table.min(axis=0).mean())
    assert scores.overall == pytest.approx((scores.accuracy + scores.completeness) / 2)


def test_scenes_are_averaged_and_what_is_unread_is_left_to_completeness() -> None:
    truths = [point(0, 0, 1), point(4, 0, 1), point(0, 0, 1)]
    answers = [answer_text(point(0, 0, 1)), "?", answer_text(point(0, 0, 3))]
    scenes = ["a", "a", "b"]
    ours = reconstruction.score(scenes, answers, truths)
    assert ours.raw.accuracy == pytest.approx((0 + 2) / 2)
    assert ours.raw.completeness == pytest.approx(((0 + 4) / 2 + 2) / 2)
    theirs = reconstruction.score(scenes, answers, truths, compat="gap")
    assert theirs.raw.completeness == pytest.approx((0 + 2) / 2)
    assert ours.unanswered == ()
    nothing = reconstruction.score(["a", "b"], ["?", ""], truths[:2])
    assert nothing.unanswered == ("a", "b")
    assert math.isnan(nothing.raw.overall)


def test_alignment_leaves_only_the_shape() -> None:
    true = cloud(6, 15)
    predicted = 0.5 * true @ rotation_from_euler(np.array([1.0, 0.2, -0.5]), "intrinsic_zxy").T + 3
    scores = reconstruction.score(["s"] * 15, [point(*p) for p in predicted], [point(*p) for p in true])
    assert scores.aligned.overall == pytest.approx(0, abs=1e-9)
    assert scores.raw.overall > 1


def test_the_authors_compare_with_the_rounded_truth() -> None:
    truth, answer = [point(0.004, 0, 1)], [answer_text(point(0.004, 0, 1))]
    assert reconstruction.score(["a"], answer, truth).raw.overall == pytest.approx(0.004)
    assert reconstruction.score(["a"], answer, truth, compat="gap").raw.overall == 0.0


@pytest.mark.parametrize(
    ("text", "ours", "theirs"),
    [
        ('```json\n{"label": "bed", "pointmap": [1, 2, 3]}\n```', True, True),
        ("{'pointmap': [1, 2, 3]}", True, True),
        ('{"label": null, "pointmap": [1, 2, 3]}', True, False),  # null is no Python
        ('{"pointmap":\n [1, 2, 3]}', True, False),  # two lines
        ('{"pointmap": [1, 2, 3, 4]}', False, True),  # theirs takes the first three
        ('{"pointmap": [1, 2]}', False, False),
        ('{"pointmap": [NaN, 2, 3]}', False, False),
        ('{"pointmap": [1, 2, 1e999]}', False, False),
        ("__import__('os').getcwd() # pointmap", False, False),
        ("", False, False),
        ("(" * 5000 + "pointmap", False, False),
    ],
)
def test_both_readings_of_an_answer(text: str, ours: bool, theirs: bool) -> None:
    assert isinstance(pointmap.read(text), PointmapAnswer) is ours
    assert isinstance(pointmap.read(text, "gap"), PointmapAnswer) is theirs


def test_an_unreadable_answer_is_worth_nothing_and_counted_by_reason() -> None:
    truths = [point(0, 0, 1, label="bed")] * 3
    scores = pointmap.score([answer_text(point(0, 0, 1.25, label="bed")), "?", '{"pointmap": 3}'], truths)
    assert scores.closeness == pytest.approx(0.75 / 3)
    assert scores.label_accuracy == pytest.approx(1 / 3)
    assert scores.reasons == {
        "no JSON object with the key pointmap": 1,
        "pointmap is not three finite numbers": 1,
    }
    assert scores.unparsable == 2
    shifted = [point(0.004, 0, 1)]
    assert pointmap.score(['{"pointmap": [0.0, 0.0, 1.0]}'], shifted, compat="gap").closeness == 1.0
    assert pointmap.score(['{"pointmap": [0.0, 0.0, 1.0]}'], shifted).closeness == pytest.approx(0.996)
    theirs = pointmap.score(["?"], truths[:1], compat="gap")
    assert (theirs.unparsable, theirs.closeness) == (1, 0.0)
    assert math.isnan(theirs.label_accuracy)
    assert isinstance(pointmap.read_whole("?"), Unparsable)
    assert isinstance(pointmap.read_whole(' \t```json\n{"pointmap": (1, 2, 3)}\n``` '), PointmapAnswer)


def test_scores_agree_with_a_plain_computation_over_answers_of_every_kind() -> None:
    """Random points and labels, answers that are repeated, unreadable, or not finite."""
    rng = np.random.default_rng(8)
    labels = ("bed", "chair", None)
    truths = [point(*rng.uniform(-3, 3, 3), label=labels[rng.integers(3)]) for _ in range(200)]
    kinds = ["right", "near", "near", "not finite", "nothing", "twice"]
    texts, errors, named = [], [], []
    for truth in truths:
        kind = kinds[rng.integers(len(kinds))]
        noise = rng.normal(0, 0.15, 3) * (kind == "near")
        guess = point(*(np.array(truth.point) + noise).round(2), label=labels[rng.integers(3)] or "sofa")
        text = {"not finite": '{"label": "bed", "pointmap": [NaN, 0, 1]}', "nothing": ""}.get(kind, answer_text(guess))
        texts.append(text * 2 if kind == "twice" else text)
        read = kind not in ("not finite", "nothing")
        errors.append(math.dist(guess.point, truth.point) if read else math.inf)
        named += [read and guess.label == truth.label] if truth.label else []
    scores = pointmap.score(texts, truths)
    finite = sorted(error for error in errors if error < math.inf)
    half = len(finite) // 2
    assert scores.unparsable == len(errors) - len(finite) > 0
    assert scores.median_error == pytest.approx((finite[half] + finite[-half - 1]) / 2)
    assert scores.mean_error == pytest.approx(sum(finite) / len(finite))
    for limit in (0.05, 0.10, 0.25):
        assert scores.within[f"{limit:.2f}"] == pytest.approx(sum(error < limit for error in errors) / len(errors))
    assert scores.labelled == len(named)
    assert scores.label_accuracy == pytest.approx(sum(named) / len(named))


def test_an_enormous_number_is_a_wrong_answer_not_a_broken_score() -> None:
    scores = pointmap.score(['{"pointmap": [1e300, 0, 0]}'], [point(0, 0, 1)])
    assert scores.unparsable == 0
    assert 1e5 < scores.mean_error < 1e7


def test_intervals_follow_from_the_seed_and_hold_the_figure() -> None:
    rng = np.random.default_rng(0)
    scenes = [f"scene{index % 20}" for index in range(400)]
    values = rng.normal(1.0, 0.5, 400)
    found = mean_interval(values.tolist(), scenes, 0, "x")
    assert found == mean_interval(values.tolist(), scenes, 0, "x")
    assert found != mean_interval(values.tolist(), scenes, 1, "x")
    assert found is not None
    assert found[0] < values.mean() < found[1]
    # Of independent values: close to 1.96 standard errors to each side.
    assert (found[1] - found[0]) == pytest.approx(2 * 1.96 * 0.5 / math.sqrt(400), rel=0.4)
    order = rng.permutation(400)
    mixed = mean_interval(values[order].tolist(), [scenes[i] for i in order], 0, "x")
    assert mixed == pytest.approx(found)


def test_medians_of_resamples_are_medians() -> None:
    scenes = ["a", "a", "b", "b", "b"]
    low, high = median_interval([1.0, 2.0, 10.0, 11.0, 12.0], scenes, 0, "x") or (0, 0)
    assert low == 1.5  # only scene a was drawn
    assert high == 11.0  # only scene b


def test_a_single_scene_has_no_interval() -> None:
    assert mean_interval([1.0, 2.0], ["a", "a"], 0, "x") is None
    assert median_interval([], [], 0, "x") is None
    assert ratio_interval(np.zeros((2, 3)), ["a", "a"], 0, "x", lambda sums: sums[:, 0]) is None


def test_a_ratio_of_counts_is_resampled_by_scene() -> None:
    counts = np.array([[1.0, 1.0], [1.0, 1.0], [0.0, 2.0]])
    found = ratio_interval(counts, ["a", "a", "b"], 0, "x", lambda sums: sums[:, 0] / sums[:, 1])
    assert found == (0.0, 1.0)
