"""ScanRefer's descriptions, and the conversations that VG-LLM and GAP-MLLM make of them over 32 frames of a scan."""

from __future__ import annotations

import itertools
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox, box_corners
from gapdata.geometry.camera import transform
from gapdata.synthetic.categories import CATEGORIES
from gapdata.synthetic.releases.conversations import (
    Item,
    camera_fields,
    conversation,
    image_names,
    in_camera,
    rounded,
)
from gapdata.synthetic.releases.embodiedscan import nine_numbers
from gapdata.synthetic.releases.facts import SceneFacts, Sentence
from gapdata.synthetic.releases.sightings import Sighting
from gapdata.synthetic.releases.wording import tokens

FRAMES = 32  # of a scan, or all where it has fewer
NEIGHBOURS = (*range(10, 91, 10), *range(-10, -91, -10))  # raw frames around the chosen one
ATTEMPTS = 20  # samples of frames before one that shows the target is put in
SAME_OBJECT = 0.5  # IoU from which two annotations mean one object
NEAREST = 0.05  # m before the camera, where projected boxes are cut
NAMED_CLASSES = frozenset({*range(1, 13), 14, 16, 24, 28, 33, 34, 36, 39})  # nyu40 ids; all others count as one class
STAGE_1 = (
    "Localize the first clear frame in the video showing the object described in the text.\n"
    'Text: {}\nOutput a JSON dictionary with the frame index in "frame".\n'
)
STAGE_2 = (
    "Localize the object described in the text.\nText: {}\n"
    'Output a JSON dictionary with the matched object\'s 3D bounding box in "bbox_3d" in the camera coordinate system '
    "of the first frame.\nThe 3D bounding box format should be "
    "[x_center, y_center, z_center, x_size, y_size, z_size, yaw, pitch, roll].\n"
)
CAPTION = "Carefully watch the video and describe the object located at {} in detail."


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """An object that ScanRefer describes, as the frames show it."""

    box: OrientedBox  # ScanRefer's, aligned world
    label: str
    question_type: str  # "unique" or "multiple"
    areas: NDArray[np.float64]  # (frames of the scene,) projected area in pixels, 0 where it is not visible


def object_name(label: str) -> str:
    """Return ScanRefer's spelling of a raw category."""
    return label.replace(" ", "_")


def scanrefer_items(facts: SceneFacts) -> Iterator[Item]:
    """Yield one scene's items of ``ScanRefer_filtered_*.json``, which Scan2Cap reads as captions."""
    for said in facts.descriptions:
        yield {
            "scene_id": facts.scene_id,
            "object_id": str(said.object_id),
            "object_name": object_name(facts.things[said.object_id].label),
            "ann_id": str(said.ann_id),
            "description": said.text,
            "token": tokens(said.text),
        }


def grounding_items(facts: SceneFacts, *, evaluation: bool) -> Iterator[tuple[Item, Item]]:
    """Yield one scene's items of ``scanrefer_*_32frames_stage1.json`` and ``..._stage2.json``, side by side.

    There are two samples of frames per description for training, one for evaluation. An object that no annotated frame
    shows, or without a counterpart among EmbodiedScan's boxes, is left out, as in the published files.
    """
    targets = _targets(facts)
    rng = facts.rng(3)
    for description in facts.descriptions:
        target = targets[description.object_id]
        for _ in range(1 if evaluation else 2):
            if not target.areas.any():
                break
            chosen = _sample_with_target(target.areas, rng)
            frames = [facts.frames[k] for k in chosen]
            best = int(np.argmax(target.areas[chosen]))
            yield (
                _stage_1(facts, description, target, frames, best, evaluation),
                _stage_2(facts, description, target, frames[best], evaluation),
            )


def caption_items(facts: SceneFacts, *, evaluation: bool) -> Iterator[Item]:
    """Yield one scene's items of ``scan2cap_*_32frames.json``.

    Training has every description of true boxes, evaluation every object with all its descriptions and its best
    proposal.
    """
    if not facts.frames:
        return
    frames = [facts.frames[k] for k in _spread(len(facts.frames), FRAMES)]
    to_camera = np.linalg.inv(facts.axis_alignment @ frames[0].camera_to_world)
    for object_id, group in itertools.groupby(facts.descriptions, key=lambda d: d.object_id):
        said = list(group)
        low, high = facts.annotated_boxes[object_id]
        truth = [*((low + high) / 2).tolist(), *(high - low).tolist()]
        given, overlap = (truth, 1.0) if not evaluation else _best_proposal(truth, facts.proposals)
        where = rounded(transform(to_camera, np.array(given[:3])).tolist())
        question = "<image>" * len(frames) + "\n" + CAPTION.format(where)
        for description in said[:1] if evaluation else said:
            item = conversation(question, description.text.capitalize(), image_names(facts, frames))
            item |= {"input_box": given, "gt_box": truth, "iou": overlap}
            item["metadata"] = _metadata(facts, description, "scan2cap")
            if evaluation:
                item["annotations"] = [d.text for d in said]
                item |= camera_fields(facts, frames)
            yield item


def _stage_1(
    facts: SceneFacts, said: Sentence, target: Target, frames: list[Sighting], best: int, evaluation: bool
) -> Item:
    prompt = STAGE_1.format(said.text.capitalize())
    question = "".join(f"Frame-{k}: <image>" for k in range(len(frames))) + "\n" + prompt
    answer = "```json\n\t" + json.dumps({"frame": best}) + "\n```"
    return _finished(facts, said, target, frames, (question, prompt, answer), evaluation)


def _stage_2(facts: SceneFacts, said: Sentence, target: Target, frame: Sighting, evaluation: bool) -> Item:
    by_id = {f.frame_id: f for f in facts.frames}
    around = [frame, *(by_id[frame.frame_id + d] for d in NEIGHBOURS if frame.frame_id + d in by_id)]
    prompt = STAGE_2.format(said.text.capitalize())
    box = rounded(in_camera(facts, target.box, frame))
    answer = "```json\n\t" + json.dumps({"bbox_3d": box}) + "\n```"
    return _finished(facts, said, target, around, ("<image>" * len(around) + prompt, prompt, answer), evaluation)


def _finished(
    facts: SceneFacts,
    said: Sentence,
    target: Target,
    frames: list[Sighting],
    texts: tuple[str, str, str],
    evaluation: bool,
) -> Item:
    question, prompt, answer = texts
    item = conversation(question, answer, image_names(facts, frames))
    item["metadata"] = _metadata(facts, said, "scanrefer") | {"question_type": target.question_type}
    item["target"] = object_name(target.label)
    item["gt_bbox"] = nine_numbers(target.box.center.tolist(), target.box.size.tolist(), (0.0, 0.0, 0.0))
    item["prompt"] = prompt
    return item | (camera_fields(facts, frames) if evaluation else {})


def _metadata(facts: SceneFacts, said: Sentence, dataset: str) -> dict[str, Any]:
    name = object_name(facts.things[said.object_id].label)
    return {
        "dataset": dataset, "scene_id": facts.scene_id, "object_id": str(said.object_id), "object_name": name,
        "ann_id": str(said.ann_id),
    }  # fmt: skip


def _targets(facts: SceneFacts) -> dict[int, Target]:
    described = sorted({d.object_id for d in facts.descriptions})
    classes = {k: CATEGORIES[facts.things[k].label].nyu40 for k in described}
    classes = {k: number if number in NAMED_CLASSES else 39 for k, number in classes.items()}
    counts = Counter(classes.values())
    candidates = [(k, facts.box(k)) for k in facts.instance_order]
    targets = {}
    for k in described:
        low, high = facts.annotated_boxes[k]
        box = OrientedBox(center=(low + high) / 2, size=high - low, rotation=np.eye(3))
        overlap, counterpart = max(
            (box_iou(box, other), key) for key, other in candidates if (np.abs(other.center - box.center) < 2).all()
        )
        areas = np.zeros(len(facts.frames))
        if overlap >= SAME_OBJECT:
            for position, frame in enumerate(facts.frames):
                if counterpart in frame.pixels:
                    areas[position] = max(projected_area(facts, box, frame), 1e-6)
        kind = "unique" if counts[classes[k]] == 1 else "multiple"
        targets[k] = Target(box=box, label=facts.things[k].label, question_type=kind, areas=areas)
    return targets


def _spread(total: int, wanted: int) -> NDArray[np.int64]:
    """Return positions spread evenly over a list, all of a short one."""
    return np.linspace(0, total - 1, min(wanted, total)).round().astype(np.int64)


def _sample_with_target(areas: NDArray[np.float64], rng: Generator) -> NDArray[np.int64]:
    """Return positions of frames that show the target: an even sample that begins anywhere, so not in order of time."""
    total = len(areas)
    chosen = _spread(total, FRAMES)
    for _ in range(ATTEMPTS):
        chosen = (_spread(total, FRAMES) + int(rng.integers(total))) % total
        if areas[chosen].any():
            return chosen
    chosen[-1] = rng.choice(np.flatnonzero(areas))
    return np.sort(chosen)


def box_iou(first: OrientedBox, second: OrientedBox) -> float:
    """Return the intersection over union of two upright boxes in the aligned world."""
    import cv2

    tops = [box.center[2] + box.size[2] / 2 for box in (first, second)]
    bottoms = [box.center[2] - box.size[2] / 2 for box in (first, second)]
    height = min(tops) - max(bottoms)
    if height <= 0:
        return 0.0
    origin = first.center[:2]
    plans = [cv2.convexHull((box.corners[:, :2] - origin).astype(np.float32)) for box in (first, second)]
    shared = float(cv2.intersectConvexConvex(plans[0], plans[1])[0]) * height
    return float(shared / (float(np.prod(first.size) + np.prod(second.size)) - shared))


def projected_area(facts: SceneFacts, box: OrientedBox, frame: Sighting) -> float:
    """Return the area in pixels of the convex hull of a box's projection within the image."""
    import cv2

    camera = facts.color_camera
    to_camera = np.linalg.inv(facts.axis_alignment @ frame.camera_to_world)
    corners = transform(to_camera, box_corners(box.center, box.size, box.rotation))
    # Corners behind the camera are replaced by where the edges to them pass the near plane.
    points = list(corners[corners[:, 2] >= NEAREST])
    for i, j in itertools.combinations(range(8), 2):
        a, b = corners[i], corners[j]
        if (a[2] < NEAREST) != (b[2] < NEAREST):
            points.append(a + (b - a) * (NEAREST - a[2]) / (b[2] - a[2]))
    if len(points) < 3:
        return 0.0
    hull = cv2.convexHull(camera.project(np.array(points)).astype(np.float32))
    width, height = camera.width - 0.5, camera.height - 0.5
    image = np.array([[-0.5, -0.5], [width, -0.5], [width, height], [-0.5, height]], dtype=np.float32)
    return float(cv2.intersectConvexConvex(hull, image)[0]) if len(hull) > 2 else 0.0


def _best_proposal(truth: Sequence[float], proposals: Sequence[Sequence[float]]) -> tuple[list[float], float]:
    """Return the proposal that overlaps a box most, and the overlap; the box itself where there are no proposals."""
    if not proposals:
        return list(truth), 1.0
    own, others = np.array(truth), np.array(proposals)
    low = np.maximum(others[:, :3] - others[:, 3:] / 2, own[:3] - own[3:] / 2)
    high = np.minimum(others[:, :3] + others[:, 3:] / 2, own[:3] + own[3:] / 2)
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    overlap = shared / (np.prod(others[:, 3:], axis=1) + np.prod(own[3:]) - shared)
    best = int(np.argmax(overlap))
    return list(proposals[best]), min(1.0, float(overlap[best]))
