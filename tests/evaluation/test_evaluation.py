"""Scores: the overlap of boxes against independent computations, matching, and what an unreadable answer costs."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.geometry.boxes import OrientedBox, rotation_from_euler
from gapdata.geometry.overlap import pairwise_iou
from gapdata.tasks import detection as detection_task
from gapdata.tasks.detection import DetectionAnswer, TextBox
from gapdata.tasks.pointmap import PointmapAnswer, answer_text
from gapmodel.evaluation import detection, pointmap
from gapmodel.evaluation.asking import spread
from gapmodel.evaluation.report import as_dict, as_table
from gapmodel.evaluation.results import Evaluation, TaskResult
from tests.support.models import make_record


def random_boxes(count: int, seed: int) -> list[OrientedBox]:
    rng = np.random.default_rng(seed)
    return [
        OrientedBox(
            center=rng.uniform(-0.4, 0.4, 3),
            size=rng.uniform(0.3, 1.5, 3),
            rotation=rotation_from_euler(rng.uniform(-3, 3, 3), "intrinsic_zxy"),
        )
        for _ in range(count)
    ]


def aligned(center: tuple[float, float, float], size: tuple[float, float, float]) -> OrientedBox:
    return OrientedBox(center=np.array(center), size=np.array(size), rotation=np.eye(3))


def test_overlap_agrees_with_counting_points_inside_both_boxes() -> None:
    rng = np.random.default_rng(0)
    first, second = random_boxes(4, 1), random_boxes(4, 2)
    overlap = pairwise_iou(first, second)
    samples = rng.uniform(-0.5, 0.5, (400_000, 3))
    for i, a in enumerate(first):
        world = (samples * a.size) @ a.rotation.T + a.center
        for j, b in enumerate(second):
            inside = (np.abs((world - b.center) @ b.rotation) <= b.size / 2).all(axis=1).mean() * a.size.prod()
            assert overlap[i, j] == pytest.approx(inside / (a.size.prod() + b.size.prod() - inside), abs=4e-3)


def test_overlap_of_upright_boxes_agrees_with_opencvs_rectangles() -> None:
    rng = np.random.default_rng(3)
    for _ in range(40):
        yaws, sizes, centers = rng.uniform(-3, 3, 2), rng.uniform(0.3, 2, (2, 3)), rng.uniform(-0.5, 0.5, (2, 3))
        boxes = [
            OrientedBox(center=c, size=s, rotation=rotation_from_euler(np.array([yaw, 0, 0]), "intrinsic_zxy"))
            for c, s, yaw in zip(centers, sizes, yaws, strict=True)
        ]
        rectangles = [
            (c[:2].tolist(), s[:2].tolist(), math.degrees(yaw)) for c, s, yaw in zip(centers, sizes, yaws, strict=True)
        ]
        _, polygon = cv2.rotatedRectangleIntersection(*rectangles)
        area = 0.0 if polygon is None else cv2.contourArea(cv2.convexHull(polygon))
        bottom, top = (centers[:, 2] - sizes[:, 2] / 2).max(), (centers[:, 2] + sizes[:, 2] / 2).min()
        volume = area * max(top - bottom, 0.0)
        expected = volume / (sizes.prod(axis=1).sum() - volume)
        assert pairwise_iou(boxes[:1], boxes[1:])[0, 0] == pytest.approx(expected, abs=2e-5)


coordinates = st.integers(-8, 8).map(lambda n: n / 4)
extents = st.integers(1, 8).map(lambda n: n / 4)
corners = st.tuples(coordinates, coordinates, coordinates)
shapes = st.tuples(extents, extents, extents)


@settings(max_examples=150, deadline=None)
@given(corners, shapes, corners, shapes, st.tuples(*[st.floats(-3, 3)] * 3), corners)
def test_overlap_is_exact_where_faces_lie_in_one_plane(
    first: tuple[float, float, float],
    first_size: tuple[float, float, float],
    second: tuple[float, float, float],
    second_size: tuple[float, float, float],
    angles: tuple[float, float, float],
    shift: tuple[float, float, float],
) -> None:
    """Boxes on a grid share planes all the time; the overlap of axis-aligned boxes is known, in any frame."""
    a, b = aligned(first, first_size), aligned(second, second_size)
    low = np.maximum(a.center - a.size / 2, b.center - b.size / 2)
    high = np.minimum(a.center + a.size / 2, b.center + b.size / 2)
    volume = np.maximum(high - low, 0).prod()
    expected = volume / (a.size.prod() + b.size.prod() - volume)
    assert pairwise_iou([a], [b])[0, 0] == pytest.approx(expected, abs=1e-7)
    motion = np.eye(4)
    motion[:3, :3], motion[:3, 3] = rotation_from_euler(np.array(angles), "intrinsic_zxy"), shift
    assert pairwise_iou([a.transformed(motion)], [b.transformed(motion)])[0, 0] == pytest.approx(expected, abs=1e-6)


def test_overlap_is_symmetric_and_whole_with_itself() -> None:
    boxes = random_boxes(6, 5)
    overlap = pairwise_iou(boxes, boxes)
    np.testing.assert_allclose(overlap, overlap.T, atol=1e-7)
    np.testing.assert_allclose(np.diag(overlap), 1.0, atol=1e-7)


def test_degenerate_boxes_overlap_nothing() -> None:
    whole = aligned((0, 0, 0), (1, 1, 1))
    flat, broken = aligned((0, 0, 0), (0, 1, 1)), aligned((math.nan, 0, 0), (1, 1, 1))
    assert pairwise_iou([whole], [flat, broken, aligned((1, 0, 0), (1, 1, 1))]).tolist() == [[0, 0, 0]]
    assert pairwise_iou([], [whole]).shape == (0, 1)


def box(label: str, x: float, size: float = 1.0) -> TextBox:
    return TextBox(label=label, values=(x, 0.0, 3.0, size, size, size, 0.0, 0.0, 0.0))


def test_each_true_box_is_found_at_most_once() -> None:
    truth = [box("chair", 0), box("chair", 5)]
    answer = DetectionAnswer(boxes=(box("chair", 0.1), box("chair", 0.0), box("table", 5)))
    scores = detection.score([answer], [truth], "extrinsic_zxy")
    counts = scores.overall["0.25"]
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (1, 2, 1)
    assert counts.precision == pytest.approx(1 / 3)
    assert counts.recall == pytest.approx(1 / 2)
    assert counts.f1 == pytest.approx(2 / 5)
    assert scores.macro["0.25"]["recall"] == pytest.approx(0.5)  # table does not occur in the truth


def test_centres_are_measured_for_the_objects_that_were_named() -> None:
    truth = [box("chair", 0), box("chair", 5), box("bed", 1)]
    scores = detection.score([DetectionAnswer(boxes=(box("chair", 1), box("chair", 5.5)))], [truth], "extrinsic_zxy")
    assert scores.named == pytest.approx(2 / 3)
    assert scores.median_center_error == pytest.approx(0.75)


def test_the_stricter_threshold_wants_more_overlap() -> None:
    scores = detection.score([DetectionAnswer(boxes=(box("bed", 0.5),))], [[box("Bed ", 0)]], "extrinsic_zxy")
    assert scores.overall["0.25"].true_positives == 1  # IoU 1/3
    assert scores.overall["0.50"].true_positives == 0


def test_the_truth_scores_perfectly_and_an_unreadable_answer_counts_apart() -> None:
    records = [make_record(seed) for seed in range(3)]
    truths = [[detection_task.text_box(item) for item in detection_task.targets(record)] for record in records]
    texts = [detection_task.answer_text(boxes) for boxes in truths]
    perfect = detection.score(texts, truths, "extrinsic_zxy")
    assert perfect.overall["0.50"].f1 == 1.0
    assert perfect.macro["0.50"] == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    broken = detection.score([texts[0], "no", texts[2]], truths, "extrinsic_zxy")
    assert broken.unparsable == 1
    assert broken.overall["0.50"].false_negatives == len(truths[1])
    assert broken.overall["0.50"].false_positives == 0


def test_nothing_predicted_and_nothing_to_find_score_zero_without_error() -> None:
    scores = detection.score(["[]"], [[]], "extrinsic_zxy")
    assert scores.overall["0.25"].f1 == 0.0
    assert scores.macro["0.25"]["f1"] == 0.0
    assert detection.score([], [], "extrinsic_zxy").views == 0


def test_the_order_of_predictions_decides_ties_as_in_the_published_evaluation() -> None:
    overlap = np.array([[0.4, 0.6], [0.0, 0.9]])
    assert detection.match(overlap, 0.25).true_positives == 1  # the first takes the second's box
    assert detection.match(overlap[::-1], 0.25).true_positives == 2


def test_the_constant_detection_answer_is_the_mean_box_of_frequent_labels() -> None:
    training = [[box("chair", 0), box("lamp", 9)], [box("chair", 2)], [box("chair", 4), box("table", 1)]]
    constant = detection.constant_baseline(training)
    assert [item.label for item in constant.boxes] == ["chair", "lamp"]
    assert constant.boxes[0].values[0] == pytest.approx(2.0)
    assert detection.constant_baseline([]).boxes == ()


def test_pointmap_scores_are_distances_and_shares() -> None:
    truths = [
        PointmapAnswer(point=(0.0, 0.0, z), label=label)
        for z, label in ((1, "chair"), (2, "bed"), (3, None), (4, "bed"))
    ]
    answers = [
        answer_text(PointmapAnswer(point=(0.03, 0.04, 1.0), label="Chair")),
        answer_text(PointmapAnswer(point=(0.0, 0.2, 2.0), label="chair")),
        answer_text(PointmapAnswer(point=(0.0, 0.0, 4.0), label=None)),
        "I cannot tell",
    ]
    scores = pointmap.score(answers, truths)
    assert (scores.questions, scores.unparsable, scores.labelled) == (4, 1, 3)
    assert scores.median_error == pytest.approx(0.2)
    assert scores.mean_error == pytest.approx((0.05 + 0.2 + 1) / 3)
    assert scores.within == {"0.05": 0.0, "0.10": 0.25, "0.25": 0.5}
    assert scores.label_accuracy == pytest.approx(1 / 3)


def test_no_readable_answer_gives_no_figure() -> None:
    scores = pointmap.score(["?"], [PointmapAnswer(point=(0, 0, 1), label="bed")])
    assert math.isnan(scores.median_error)
    assert scores.label_accuracy == 0.0
    results = Evaluation(split="val", tasks={"pointmap": TaskResult(task="pointmap", ours=scores, baseline=scores)})
    assert json.loads(json.dumps(as_dict(results), allow_nan=False))["pointmap"]["median_error"] is None
    assert "n/a" in as_table(results)


def test_the_constant_point_is_the_median_and_the_most_frequent_label() -> None:
    training = [PointmapAnswer(point=(x, 0.0, 2.0), label=label) for x, label in ((0, "bed"), (1, "lamp"), (9, "lamp"))]
    assert pointmap.constant_baseline(training) == PointmapAnswer(point=(1.0, 0.0, 2.0), label="lamp")
    unlabelled = [replace(item, label=None) for item in training]
    assert pointmap.constant_baseline(unlabelled).label is None


@given(st.lists(st.integers(), max_size=40), st.none() | st.integers(1, 50))
def test_a_limit_spreads_over_all_items_in_order(items: list[int], limit: int | None) -> None:
    kept = spread(list(enumerate(items)), limit)
    assert kept == sorted(kept, key=lambda pair: pair[0])
    assert len(kept) == min(len(items), len(items) if limit is None else limit)
    if kept:
        assert kept[0][0] == 0
