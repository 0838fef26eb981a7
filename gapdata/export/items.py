"""Items of GAP-MLLM's and VG-LLM's JSON files: question, answer, images, and the fields that their evaluations read.

An item has ``conversations`` with one turn of each side and ``images``, as their loader wants it, and

* recons: ``pixel_coords``, position of the frame, x, y in pixels of the exported image;
* det: ``boxes`` with ``bbox_3d`` (nine numbers, unrounded), ``label`` and ``in_reference`` (the first frame shows it);
* scanrefer1, scanrefer2, scanrefer: ``metadata``, ``target``, ``gt_bbox`` (aligned world) and ``prompt``;
* scan2cap: ``metadata``, ``input_box``, ``gt_box`` and ``iou``; for evaluation ``annotations`` (all references);
* every task, for evaluation: ``cam2img``, ``cam2global`` and ``axis_align_matrix``.

Texts are those of :mod:`gapdata.tasks`. A record with other people's conversations gives exactly these.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from gapdata.annotations.conversation import TASKS
from gapdata.geometry.boxes import OrientedBox
from gapdata.records.expressions import Conversation, Expression, conversations, descriptions
from gapdata.records.schema import Record, ViewObject
from gapdata.records.views import KIND_OF_TASK
from gapdata.seeding import generator_for
from gapdata.tasks import conversation as given
from gapdata.tasks import detection
from gapdata.tasks.captioning import references
from gapdata.tasks.chat import IMAGE, Question
from gapdata.tasks.questions import left_out, obstacle, questions
from gapdata.tasks.targets import aligned_camera, described
from gapdata.tasks.task import QuestionOptions
from gapdata.tasks.wordings import Wording

Item = dict[str, Any]
Lost = Counter[str]
"""How many questions could not be asked, by reason."""

QUESTION_OF_TASK: Mapping[str, str] = {
    "recons": "pointmap",
    "det": "detection",
    "scanrefer1": "grounding_frame",
    "scanrefer2": "grounding_box",
    "scanrefer": "grounding",
    "scan2cap": "captioning",
}
"""The task of :mod:`gapdata.tasks` that asks what each of their files asks."""
TAXONOMY = "embodiedscan"
"""Their detection lists, and so their evaluation, use EmbodiedScan's names; what has none keeps the record's label."""


def image_path(record: Record, frame: int) -> str:
    """Return the path of a frame below the export's folder, named by its raw index."""
    return f"posed_images/{record.scene_id}/{record.frame_ids[frame]:05d}.jpg"


def record_items(record: Record, task: str, wording: Wording) -> tuple[list[Item], Lost]:
    """Return the items of one record for one of their tasks, and how much of it cannot be asked, by reason.

    Raises:
        ShardError: an expression of the record is malformed or contradicts it.
    """
    told = [item for item in conversations(record) if item.benchmark is None or IMAGE in item.question]
    if told:
        return _given_items(record, [item for item in told if item.task == task])
    if record.view != KIND_OF_TASK.get(task, "clip"):
        return [], Counter()
    if task in ("recons", "det") and not record.has_instances:
        return [], Counter({"the scan has no annotation": 1})
    if task == "recons":
        return _recons_items(record, wording)
    if task == "det":
        return [_det_item(record, wording)], Counter()
    return _described_items(record, task, wording)


def without_file(record: Record) -> Lost:
    """Count the conversations of a record that do not belong into any of their files."""
    lost = Counter[str]()
    for item in conversations(record):
        if item.benchmark is not None:
            lost["a benchmark's question"] += 1
        elif item.task not in TASKS:
            lost["a conversation of an unknown task"] += 1
    return lost


def question_options(record: Record, task: str, wording: Wording) -> QuestionOptions:
    """Return how questions are asked: captions of evaluation splits point at the detector's proposal."""
    evaluation_of_captions = task == "scan2cap" and record.split != "train"
    return QuestionOptions(
        wording=wording, taxonomy=TAXONOMY, caption_point="proposal" if evaluation_of_captions else "truth"
    )


def _given_items(record: Record, asked: Sequence[Conversation]) -> tuple[list[Item], Lost]:
    items, lost = [], Counter[str]()
    for item in asked:
        if item.question.count(IMAGE) != len(record):
            lost["the question does not have one image placeholder for each frame"] += 1
            continue
        question = given.render(record, item)
        if IMAGE in question.answer:
            lost["the answer holds an image placeholder"] += 1
            continue
        fields: Item = {}
        if item.task == "det" and isinstance(answer := detection.parse(item.answer), detection.DetectionAnswer):
            fields["boxes"] = [{"bbox_3d": list(box.values), "label": box.label} for box in answer.boxes]
        items.append(_item(record, question, fields))
    return items, lost


def _recons_items(record: Record, wording: Wording) -> tuple[list[Item], Lost]:
    asked = _questions(record, "recons", wording)
    return [_item(record, question, {}) for question in asked], Counter({"the clip has no marked pixel": not asked})


def _det_item(record: Record, wording: Wording) -> Item:
    options = question_options(record, "det", wording)
    boxes = []
    for target in detection.targets(record, options):
        box = detection.text_box(target, options)
        shown = target.visible_pixels[0] >= options.min_visible_pixels
        boxes.append({"bbox_3d": list(box.values), "label": box.label, "in_reference": shown})
    (question,) = _questions(record, "det", wording)
    return _item(record, question, {"boxes": boxes})


def _described_items(record: Record, task: str, wording: Wording) -> tuple[list[Item], Lost]:
    options, name = question_options(record, task, wording), QUESTION_OF_TASK[task]
    told = descriptions(record)
    asked = [item for item in told if obstacle(record, item, name, options) is None]
    lost = Counter(left_out(record, name, options))
    items = []
    captioned: set[tuple[int, str]] = set()
    for expression, question in zip(asked, _questions(record, task, wording), strict=True):
        if task != "scan2cap":
            items.append(_item(record, question, _grounding_fields(record, expression, question)))
        elif record.split == "train":
            items.append(_item(record, question, _caption_fields(record, expression)))
        elif (about := (expression.object_id, expression.object_name)) not in captioned:
            # One item for an object, with everything that was said about it.
            captioned.add(about)
            fields = {**_caption_fields(record, expression), "annotations": list(references(told)[about])}
            items.append(_item(record, question, fields))
    return items, lost


def _questions(record: Record, task: str, wording: Wording) -> list[Question]:
    rng = generator_for(0, "export", record.key)
    return questions(record, QUESTION_OF_TASK[task], question_options(record, task, wording), rng)


def _item(record: Record, question: Question, fields: Mapping[str, Any]) -> Item:
    item: Item = {
        "conversations": [{"from": "human", "value": question.text}, {"from": "gpt", "value": question.answer}],
        "images": [image_path(record, frame) for frame in range(len(record))],
    }
    if question.mark is not None:
        item["pixel_coords"] = [question.mark.frame, *question.mark.pixel]
    return {**item, **fields, **(_camera_fields(record) if record.split != "train" else {})}


def _camera_fields(record: Record) -> Item:
    """Return the cameras with which an evaluation transforms boxes to the aligned world.

    A scan without axis alignment gets no ``axis_align_matrix``: an identity in its place would be wrong.
    """
    fields: Item = {"cam2img": record.camera(0).matrix.tolist(), "cam2global": record.camera_to_world.tolist()}
    if record.axis_alignment is not None:
        fields["axis_align_matrix"] = record.axis_alignment.tolist()
    return fields


def _grounding_fields(record: Record, expression: Expression, question: Question) -> Item:
    fields = {
        "metadata": _metadata(record, expression, "scanrefer"),
        "target": expression.object_name,
        "prompt": question.text.rpartition(IMAGE)[2].lstrip("\n"),
    }
    truth = described(record, expression).aligned_box
    return fields if truth is None else {**fields, "gt_bbox": [*truth, 0.0, 0.0, 0.0]}


def _caption_fields(record: Record, expression: Expression) -> Item:
    target = described(record, expression)
    fields: Item = {"metadata": _metadata(record, expression, "scan2cap")}
    if target.aligned_box is not None:
        fields["gt_box"] = list(target.aligned_box)
    if record.split == "train":
        return {**fields, "input_box": fields["gt_box"], "iou": 1.0}
    box, overlap = _proposal(record, target)
    return {**fields, "input_box": box, "iou": overlap}


def _proposal(record: Record, target: ViewObject) -> tuple[list[float], float]:
    """Return centre and size of the object's proposal in the aligned world, and its overlap with the truth."""
    assert target.proposal is not None
    center, size, rotation = (np.array(target.proposal[name]) for name in ("center", "size", "rotation"))
    box = OrientedBox(center=center, size=size, rotation=rotation).transformed(aligned_camera(record, 0))
    return [*box.center.tolist(), *box.size.tolist()], float(target.proposal["iou"])


def _metadata(record: Record, expression: Expression, dataset: str) -> Item:
    fields = {
        "dataset": dataset,
        "scene_id": record.scene_id,
        "object_id": str(expression.object_id),
        "object_name": expression.object_name,
        "ann_id": expression.ann_id,
    }
    if expression.unique is not None:
        fields["question_type"] = "unique" if expression.unique else "multiple"
    return fields
