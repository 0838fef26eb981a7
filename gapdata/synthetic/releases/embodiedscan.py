"""EmbodiedScan's ``embodiedscan_infos_*.pkl``: numpy arrays and plain types in a protocol 4 pickle.

Boxes are nine numbers in the aligned world with angles of the intrinsic ZXY convention; ``visible_instance_ids`` are
positions in ``instances``, which are not in the order of their ids.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gapdata.geometry.boxes import euler_from_rotation
from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.releases.facts import SceneFacts
from gapdata.synthetic.releases.vocabulary import CATEGORY_IDS, EMBODIEDSCAN


def embodiedscan_splits(splits: dict[str, list[str]]) -> dict[str, list[str]]:
    """Return EmbodiedScan's splits from ScanNet's.

    Its ``val`` is the last quarter (at least one of two or more) of ScanNet's ``train``; ScanNet's ``val`` is its
    ``test``.
    """
    train = splits["train"]
    held = max(1, len(train) // 4) if len(train) >= 2 else 0
    return {"train": train[: len(train) - held], "val": train[len(train) - held :], "test": splits["val"]}


def infos_bytes(scenes: Iterable[SceneFacts]) -> bytes:
    """Return the pickle of some scenes."""
    content = {"metainfo": {"categories": dict(CATEGORY_IDS)}, "data_list": [sample(facts) for facts in scenes]}
    return pickle.dumps(content, protocol=4)


def sample(facts: SceneFacts) -> dict[str, Any]:
    """Return the entry of one scene."""
    place = {object_id: position for position, object_id in enumerate(facts.instance_order)}
    folder = f"scannet/posed_images/{facts.scene_id}"
    # Every array is made here, whichever process sent the facts: equal content pickles to equal bytes.
    images = [
        {
            "img_path": f"{folder}/{frame.frame_id:05d}.jpg",
            "depth_path": f"{folder}/{frame.frame_id:05d}.png",
            "cam2global": np.array(frame.camera_to_world.tolist()),
            "visible_instance_ids": sorted(place[k] for k in frame.pixels),
        }
        for frame in facts.frames
    ]
    return {
        "sample_idx": f"scannet/{facts.scene_id}",
        "axis_align_matrix": np.array(facts.axis_alignment.tolist()),
        "cam2img": _four_by_four(facts.color_camera),
        "depth_cam2img": _four_by_four(facts.depth_camera),
        "images": images,
        "instances": [_instance(facts, object_id) for object_id in facts.instance_order],
    }


def nine_numbers(center: Sequence[float], size: Sequence[float], angles: Sequence[float]) -> list[float]:
    """Return a box as the releases write it."""
    return [float(v) for v in (*center, *size, *angles)]


def _instance(facts: SceneFacts, object_id: int) -> dict[str, Any]:
    box = facts.box(object_id)
    angles = euler_from_rotation(box.rotation, "intrinsic_zxy")
    return {
        "bbox_3d": nine_numbers(box.center.tolist(), box.size.tolist(), angles.tolist()),
        "bbox_label_3d": CATEGORY_IDS[EMBODIEDSCAN[facts.things[object_id].label]],
        "bbox_id": object_id,
    }


def _four_by_four(camera: Intrinsics) -> np.ndarray[Any, np.dtype[np.float64]]:
    matrix = np.eye(4)
    matrix[:3, :3] = camera.matrix
    return matrix
