"""What the miniature finds in answers: what each part of a box is worth, and what F1 would be without its errors."""

from __future__ import annotations

import json
import re

import pytest

from gapdata.tasks import detection
from gapdata.tasks.detection import TextBox
from gapmodel.experiments.miniature.answer_parts import PARTS, nats_by_part, token_parts
from gapmodel.experiments.miniature.correction import corrected_f1


def test_a_part_of_the_boxes_put_right_leaves_the_others_wrong() -> None:
    chair, table = [0.0, 0.0, 2.0, 0.5, 0.5, 1.0, 0.0, 0.0, 0.0], [2.0, 0.0, 3.0, 1.0, 1.0, 1.0, 0.3, 0.0, 0.0]
    far, flat = [5.0, *chair[1:]], [*table[:3], 0.1, 0.1, 0.1, *table[6:]]
    truths = [
        [TextBox(label=label, values=tuple(values)) for label, values in boxes]
        for boxes in ([("chair", chair), ("table", table)], [("chair", chair)], [("table", table)])
    ]
    answers = [
        json.dumps([{"label": "chair", "bbox_3d": far}, {"label": "table", "bbox_3d": flat}]),
        json.dumps([{"label": "sofa", "bbox_3d": chair}]),
        "nothing that can be read",
    ]
    # Three predictions for four boxes: the chair is right once it is where it should be, the table once it is as large.
    right_once = pytest.approx(2 / 7)
    assert corrected_f1(answers, truths, "extrinsic_zxy") == {"centres": right_once, "sizes and angles": right_once}


def test_each_token_of_a_box_belongs_to_what_it_says() -> None:
    boxes = [
        TextBox(label="night stand", values=(-0.51, 2.0, 0.7, 1, 1, 1.25, -1.57, 0.0, 2.98)),
        TextBox(label="bed", values=(1.65, -0.25, 2.73, 2, 1, 1, -1.6, 1.27, 3.0)),
    ]
    tokens = re.findall(r" -|[a-z]+|[0-9]|[^a-z0-9]", detection.answer_text(boxes))
    parts, count = token_parts(tokens)
    assert count == 2
    said = {part: "".join(t for t, p in zip(tokens, parts, strict=True) if p == part) for part in (*PARTS, None)}
    assert said["label"] == "night standbed"
    assert said["centre"] == "[-0.51, 2.0, 0.7,[1.65, -0.25, 2.73,"
    assert said["size"] == " 1.0, 1.0, 1.25, 2.0, 1.0, 1.0,"
    assert said["angles"] == " -1.57, 0.0, 2.98] -1.6, 1.27, 3.0]"
    assert not set(said[None]) & set("0123456789") - {"3"}  # of bbox_3d
    point = re.findall(r" -|[a-z]+|[0-9]|[^a-z0-9]", '{"label": "door", "pointmap": [0.5, -1.25, 3.0]}')
    parts_of_point, _ = token_parts(point)
    assert "".join(t for t, p in zip(point, parts_of_point, strict=True) if p == "centre") == "[0.5, -1.25, 3.0]"
    nats = nats_by_part([(tokens, [2.0] * len(tokens)), (["```", "[]"], [1.0, 1.0])])
    assert nats["centre"] == sum(part == "centre" for part in parts)
