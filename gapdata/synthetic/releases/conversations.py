"""Detection and reconstruction conversations of VG-LLM and GAP-MLLM over clips of four frames at one per second."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox, euler_from_rotation
from gapdata.geometry.camera import transform
from gapdata.synthetic.releases.embodiedscan import nine_numbers
from gapdata.synthetic.releases.facts import SceneFacts
from gapdata.synthetic.releases.sightings import EVERY, Pick, Sighting
from gapdata.synthetic.releases.vocabulary import EMBODIEDSCAN

Item = dict[str, Any]

CLIP, INTERVAL = 4, 3  # frames of a clip, and steps of the list of every tenth frame between them: 30 raw frames
VAL_WINDOWS = 10  # clips of a validation scan at most
POINTS = 3  # marked pixels per clip
NOT_DETECTED = frozenset({"wall", "ceiling", "floor", "object"})
DETECTION_PROMPT = (
    "Detect the 3D bounding boxes in the camera coordinate system of the first frame.\n"
    'Output a json list where each entry contains the object name in "label" and its 3D bounding box in "box_3d".\n'
    "The 3D bounding box format should be [x_center, y_center, z_center, x_size, y_size, z_size, yaw, pitch, roll]."
)
POINT_PROMPT = (
    "A red cross marks one pixel of one frame.\n"
    'Output a JSON dictionary with the 3D coordinates of the marked point in "pointmap", in metres in the camera '
    'coordinate system of the first frame, and the name of the object there in "label".'
)


def windows(frames: Sequence[Sighting]) -> list[tuple[Sighting, ...]]:
    """Return all clips within runs of frames that follow each other: a lost pose ends a run."""
    result = []
    reach = (CLIP - 1) * INTERVAL
    for start in range(len(frames) - reach):
        span = frames[start : start + reach + 1]
        if span[-1].frame_id - span[0].frame_id == reach * EVERY:
            result.append(tuple(span[::INTERVAL]))
    return result


def detection_items(facts: SceneFacts, *, evaluation: bool) -> Iterator[Item]:
    """Yield one scene's items of ``scannet_det_*_4frames.json``; for evaluation few clips, with their cameras."""
    for clip in _chosen(facts, evaluation, purpose=0):
        seen = list(dict.fromkeys(k for frame in clip for k in facts.instance_order if k in frame.pixels))
        boxes, lines = [], []
        for k in seen:
            label = EMBODIEDSCAN[facts.things[k].label]
            if label not in NOT_DETECTED:
                box = in_camera(facts, facts.box(k), clip[0])
                boxes.append({"bbox_3d": box, "label": label, "in_reference": k in clip[0].pixels})
                lines.append(json.dumps({"label": label, "bbox_3d": rounded(box)}))
        answer = "```json\n[\n\t" + ",\n\t".join(lines) + "\n]```"
        item = conversation("<image>" * len(clip) + DETECTION_PROMPT, answer, image_names(facts, clip))
        yield item | {"boxes": boxes} | (camera_fields(facts, clip) if evaluation else {})


def reconstruction_items(facts: SceneFacts, *, evaluation: bool) -> Iterator[Item]:
    """Yield one scene's items of ``scannet_recons_*_4frames.json``: a few marked pixels per clip."""
    rng = facts.rng(2)
    for clip in _chosen(facts, evaluation, purpose=1):
        picks = [(view, pick) for view, frame in enumerate(clip) for pick in frame.picks]
        for k in rng.permutation(len(picks))[:POINTS]:
            view, pick = picks[int(k)]
            point = rounded(_first_camera_point(facts, clip, view, pick).tolist())
            label = EMBODIEDSCAN[facts.things[pick.object_id].label]
            answer = f"```json\n{json.dumps({'pointmap': point, 'label': label})}\n```"
            item = conversation("<image>" * len(clip) + POINT_PROMPT, answer, image_names(facts, clip))
            item["pixel_coords"] = [view, *pick.pixel]
            yield item | (camera_fields(facts, clip) if evaluation else {})


def conversation(question: str, answer: str, images: list[str]) -> Item:
    """Return a conversation of one turn on each side."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, "images": images}


def image_names(facts: SceneFacts, frames: Sequence[Sighting]) -> list[str]:
    """Return the names of images, which are raw frame indices."""
    return [f"{facts.scene_id}/{frame.frame_id:05d}.jpg" for frame in frames]


def camera_fields(facts: SceneFacts, frames: Sequence[Sighting]) -> Item:
    """Return the fields that take an evaluation's boxes back to the aligned world."""
    return {
        "cam2img": facts.color_camera.matrix.tolist(),
        "cam2global": [frame.camera_to_world.tolist() for frame in frames],
        "axis_align_matrix": facts.axis_alignment.tolist(),
    }


def in_camera(facts: SceneFacts, box: OrientedBox, frame: Sighting) -> list[float]:
    """Return a box of the aligned world as nine numbers in a frame's camera, angles in the extrinsic zxy convention."""
    camera_to_aligned = facts.axis_alignment @ frame.camera_to_world
    there = box.transformed(np.linalg.inv(camera_to_aligned))
    angles = euler_from_rotation(there.rotation, "extrinsic_zxy")
    return nine_numbers(there.center.tolist(), there.size.tolist(), angles.tolist())


def rounded(values: Sequence[float]) -> list[float]:
    """Round to two decimals by Python's ``round``: -0.0 stays."""
    return [round(v, 2) for v in values]


def _chosen(facts: SceneFacts, evaluation: bool, *, purpose: int) -> list[tuple[Sighting, ...]]:
    every = windows(facts.frames)
    if not evaluation or len(every) <= VAL_WINDOWS:
        return every
    return [every[k] for k in np.sort(facts.rng(purpose).permutation(len(every))[:VAL_WINDOWS])]


def _first_camera_point(facts: SceneFacts, clip: Sequence[Sighting], view: int, pick: Pick) -> NDArray[np.float64]:
    """Return the point (3,), metres, in the camera of the clip's first frame."""
    local = facts.color_camera.unproject(np.array(pick.pixel), np.float64(pick.depth))
    world = transform(clip[view].camera_to_world, local)
    return transform(np.linalg.inv(clip[0].camera_to_world), world)
