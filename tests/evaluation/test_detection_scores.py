"""Detection scores in our way and the authors': against a slow transcription, the golden sample, degenerate answers."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from gapdata.annotations.categories import category_list
from gapdata.geometry.boxes import EulerConvention, OrientedBox, rotation_from_euler
from gapdata.geometry.overlap import pairwise_iou
from gapdata.tasks.box_text import nine_numbers
from gapdata.tasks.detection import DetectionAnswer, TextBox, answer_text
from gapdata.tasks.detection_compat import WRONG
from gapmodel.evaluation import detection
from gapmodel.evaluation.authors_overlap import authors_iou, corners_of, refused
from gapmodel.evaluation.compat import Compat
from tests.support.task_records import golden_sample

LABELS = ("chair", "couch", "sofa", "lamp", "zebra")


def box(label: str, *values: float) -> TextBox:
    return TextBox(label=label, values=(*values, *(0.0,) * (9 - len(values))))


def cube(label: str, x: float, size: float = 1.0) -> TextBox:
    return box(label, x, 0.0, 3.0, size, size, size)


def random_view(rng: np.random.Generator) -> tuple[list[TextBox], list[TextBox]]:
    true = [
        TextBox(
            label=str(rng.choice(LABELS)),
            values=(*rng.uniform(-1, 1, 3), *rng.uniform(0.3, 1.5, 3), *rng.uniform(-3, 3, 3)),
        )
        for _ in range(rng.integers(0, 6))
    ]
    predicted = []
    for item in true:
        for _ in range(rng.integers(0, 3)):
            noise = rng.normal(0, 0.12, 9) * (1, 1, 1, 0.5, 0.5, 0.5, 1, 1, 1)
            sizes_kept = np.array(item.values) + noise
            sizes_kept[3:6] = np.abs(sizes_kept[3:6])
            label = item.label if rng.random() < 0.8 else str(rng.choice(LABELS))
            predicted.append(TextBox(label=label, values=tuple(sizes_kept.tolist())))
    return predicted, true


def slow_counts(
    views: list[tuple[list[TextBox], list[TextBox]]], limit: float, convention: EulerConvention, *, strict: bool
) -> dict[str, list[int]]:
    """The published matching as its description reads: one prediction after the other, one true box after the other."""
    table: dict[str, list[int]] = {}
    for predicted, true in views:
        used: set[int] = set()
        for mine in predicted:
            best, chosen = 0.0, -1
            for place, other in enumerate(true):
                if other.label == mine.label and place not in used:
                    a, b = (detection.oriented(item, convention) for item in (mine, other))
                    theirs = authors_iou(corners_of([mine.values]), corners_of([other.values]))
                    iou = float(theirs[0] if strict else pairwise_iou([a], [b])[0, 0])
                    if iou > best:
                        best, chosen = iou, place
            hit = chosen >= 0 and (best > limit or (best == limit and not strict))
            table.setdefault(mine.label, [0, 0, 0])[0 if hit else 1] += 1
            used |= {chosen} if hit else set()
        for place, other in enumerate(true):
            if place not in used:
                table.setdefault(other.label, [0, 0, 0])[2] += 1
    return table


@pytest.mark.parametrize("compat", ["none", "gap"])
@pytest.mark.parametrize("written", ["extrinsic_zxy", "intrinsic_zxy"])
def test_counts_agree_with_a_plain_transcription(compat: Compat, written: EulerConvention) -> None:
    rng = np.random.default_rng(3)
    views = [random_view(rng) for _ in range(30)]
    answers = [DetectionAnswer(boxes=tuple(predicted)) for predicted, _ in views]
    scores = detection.score(answers, [true for _, true in views], written, compat=compat)
    reading = "intrinsic_zxy" if compat == "gap" else written
    for limit in (0.25, 0.5):
        expected = slow_counts(views, limit, reading, strict=compat == "gap")
        found = {
            label: [counts.true_positives, counts.false_positives, counts.false_negatives]
            for label, counts in scores.by_class[f"{limit:.2f}"].items()
        }
        assert found == expected
        assert sum(row[0] for row in expected.values()) > 5


def test_the_golden_sample_scores_perfectly_against_itself_in_both_ways(samples: Path) -> None:
    sample = golden_sample(samples)
    answer = sample["answer_text"]
    truth = [TextBox(label=item["label"], values=tuple(item["bbox_3d"])) for item in sample["boxes"]]
    for compat in ("none", "gap"):
        scores = detection.score([answer], [truth], "extrinsic_zxy", compat=compat)
        assert scores.overall["0.25"].f1 == 1.0
        assert scores.overall["0.25"].true_positives == 8
        exact = detection.score([DetectionAnswer(boxes=tuple(truth))], [truth], "extrinsic_zxy", compat=compat)
        assert exact.overall["0.50"].f1 == 1.0
        assert all(counts.f1 == 1.0 for counts in exact.by_class["0.50"].values())


def test_the_authors_reading_of_angles_decides_about_a_box_that_is_right() -> None:
    """The same physical box, its yaw written half a turn on: formats of angles that agree give 1, theirs does not."""
    angles = np.array([0.4, 1.1, 2.0])
    true = OrientedBox(
        center=np.zeros(3), size=np.array([2.0, 0.6, 1.0]), rotation=rotation_from_euler(angles, "extrinsic_zxy")
    )
    turned = OrientedBox(center=true.center, size=true.size, rotation=true.rotation @ np.diag([-1.0, -1.0, 1.0]))
    texts = [TextBox(label="bed", values=nine_numbers(item, "extrinsic_zxy")) for item in (turned, true)]
    answer = [DetectionAnswer(boxes=(texts[0],))]
    assert detection.score(answer, [[texts[1]]], "extrinsic_zxy").overall["0.50"].f1 == 1.0
    assert detection.score(answer, [[texts[1]]], "extrinsic_zxy", compat="gap").overall["0.50"].f1 == 0.0


def test_an_overlap_at_the_threshold_counts_for_us_and_not_for_them() -> None:
    truth, answer = [cube("bed", 0.0)], [DetectionAnswer(boxes=(box("bed", 0, 0, 3, 1, 1, 0.5),))]
    assert detection.score(answer, [truth], "extrinsic_zxy").overall["0.50"].true_positives == 1
    # Their own overlap of these boxes is 0.5 give or take float32's rounding.
    assert detection.match(np.array([[0.5]]), 0.5).true_positives == 1
    assert detection.match(np.array([[0.5]]), 0.5, strict=True).true_positives == 0


def test_thin_boxes_are_refused_by_their_overlap_alone() -> None:
    thin = box("picture", 0, 0, 3, 0.01, 0.019, 1)
    answer = [DetectionAnswer(boxes=(thin,))]
    assert detection.score(answer, [[thin]], "extrinsic_zxy").overall["0.50"].f1 == 1.0
    assert detection.score(answer, [[thin]], "extrinsic_zxy", compat="gap").overall["0.50"].f1 == 0.0
    assert not refused(corners_of([box("picture", 0, 0, 3, 0.01, 0.021, 1).values]))


def test_the_lists_are_averaged_as_each_side_does() -> None:
    truth = [cube("chair", 0), cube("lamp", 5), cube("towel", 9)]
    answer = [DetectionAnswer(boxes=(cube("chair", 0), cube("lamp", 5)))]
    ours = detection.score(answer, [truth], "extrinsic_zxy").lists
    theirs = detection.score(answer, [truth], "extrinsic_zxy", compat="gap").lists
    assert ours["detection-8"]["0.25"]["f1"] == 1.0  # chair, the only one of the list that occurs
    assert theirs["detection-8"]["0.25"]["f1"] == pytest.approx(1 / 8)
    assert theirs["detection-20"]["0.25"]["f1"] == pytest.approx(2 / 20)
    assert ours["detection-31"]["0.25"]["recall"] == pytest.approx(2 / 3)
    # The published list has "lamp" twice and "towl", which matches nothing, for "towel".
    entries = len(category_list("detection-31-authors"))
    assert theirs["detection-31"]["0.25"]["f1"] == pytest.approx(3 / entries)
    assert theirs["detection-31"]["0.25"]["classes"] == entries


def test_a_synonym_is_its_class_on_our_lists_and_a_label_of_its_own_elsewhere() -> None:
    scores = detection.score([DetectionAnswer(boxes=(cube("sofa", 0),))], [[cube("couch", 0)]], "extrinsic_zxy")
    assert scores.lists["detection-8"]["0.25"]["f1"] == 1.0
    assert scores.overall["0.25"].f1 == 0.0
    theirs = detection.score(
        [DetectionAnswer(boxes=(cube("Couch", 0),))], [[cube("couch", 0)]], "extrinsic_zxy", compat="gap"
    )
    assert theirs.overall["0.25"].f1 == 0.0


def test_an_entry_over_several_lines_is_lost_to_a_reading_by_lines() -> None:
    truth = [cube("chair", 0), cube("bed", 5)]
    pretty = json.dumps([{"label": item.label, "bbox_3d": list(item.values)} for item in truth], indent=2)
    assert detection.score([pretty], [truth], "extrinsic_zxy").overall["0.25"].true_positives == 2
    theirs = detection.score([pretty], [truth], "extrinsic_zxy", compat="gap")
    assert theirs.overall["0.25"].true_positives == 0
    assert theirs.rejected > 0


@pytest.mark.parametrize("compat", ["none", "gap"])
@pytest.mark.parametrize(
    ("text", "hits", "false_alarms"),
    [
        ("", 0, 0),
        ("no idea", 0, 0),
        ("[]", 0, 0),
        ('{"label": "chair", "bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0, 0]}', 1, 0),
        ('{"label": "chair", "bbox_3d": [0, 0, 3, 1, 1, 1, 0, 0, 0]}\n' * 2, 1, 1),
        ('{"label": "chair", "bbox_3d": [0, 0, 3, 0, 0, 0, 0, 0, 0]}', 0, 1),
        ('{"label": "chair", "bbox_3d": [1e200, 0, 3, 1e200, 1e200, 1, 0, 0, 0]}', 0, 1),
    ],
)
def test_degenerate_answers_are_counted(text: str, hits: int, false_alarms: int, compat: Compat) -> None:
    scores = detection.score([text], [[cube("chair", 0)]], "extrinsic_zxy", compat=compat)
    counts = scores.overall["0.25"]
    assert (counts.true_positives, counts.false_positives, counts.false_negatives) == (hits, false_alarms, 1 - hits)
    nothing = detection.score([text], [[]], "extrinsic_zxy", compat=compat)
    assert nothing.overall["0.25"].true_positives == 0
    assert nothing.overall["0.25"].false_negatives == 0


def test_not_a_number_is_unreadable_for_us_and_a_false_alarm_for_them() -> None:
    text = '[{"label": "chair", "bbox_3d": [NaN, 0, 3, 1, 1, 1, 0, 0, 0]}]'
    ours = detection.score([text], [[cube("chair", 0)]], "extrinsic_zxy")
    assert ours.unparsable == 1
    assert ours.reasons == {"no entry with a label and nine finite numbers": 1}
    assert ours.overall["0.25"].false_negatives == 1
    wrong = DetectionAnswer(boxes=(TextBox(label="chair", values=WRONG),))
    theirs = detection.score([wrong], [[cube("chair", 0)]], "extrinsic_zxy", compat="gap")
    assert theirs.overall["0.25"].false_positives == 1
    assert math.isnan(theirs.median_center_error)


def test_average_precision_ranks_by_place_in_the_answer() -> None:
    truth = [[cube("chair", 0)], [cube("chair", 0)]]
    first_right = DetectionAnswer(boxes=(cube("chair", 0), cube("chair", 9)))
    first_wrong = DetectionAnswer(boxes=(cube("chair", 9), cube("chair", 0)))
    assert detection.score([first_right, first_right], truth, "extrinsic_zxy").mean_ap["0.25"] == 1.0
    assert detection.score([first_wrong, first_wrong], truth, "extrinsic_zxy").mean_ap["0.25"] == pytest.approx(0.5)
    assert math.isnan(detection.score([first_right] * 2, truth, "extrinsic_zxy", compat="gap").mean_ap["0.25"])


def test_the_order_of_views_does_not_matter() -> None:
    rng = np.random.default_rng(5)
    views = [random_view(rng) for _ in range(12)]
    answers, truths = [answer_text(p) if p else "[]" for p, _ in views], [t for _, t in views]
    there = detection.score(answers, truths, "extrinsic_zxy")
    back = detection.score(answers[::-1], truths[::-1], "extrinsic_zxy")
    assert there.by_class == back.by_class
    assert there.mean_ap == pytest.approx(back.mean_ap)
    assert there.lists["detection-20"]["0.25"] == pytest.approx(back.lists["detection-20"]["0.25"])
