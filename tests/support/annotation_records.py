"""Small annotation files in the formats that others publish, written from their description alone."""

from __future__ import annotations

import io
import json
import pickle
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIGNMENT = np.array([[0.8, 0.6, 0, 0.5], [-0.6, 0.8, 0, -1], [0, 0, 1, -0.1], [0, 0, 0, 1]])
CATEGORIES = {"wall": 1, "chair": 2, "couch": 3, "kitchen island": 4}


def instance(object_id: int, category: int = 2, box: Sequence[float] | None = None) -> dict[str, Any]:
    """An entry of ``instances``: upright, turned by its id."""
    values = box if box is not None else [object_id, 1.0, 0.5, 0.6, 0.7, 1.0, 0.1 * object_id, 0.0, 0.0]
    return {"bbox_3d": values, "bbox_label_3d": category, "bbox_id": object_id}


def sample(
    scene_id: str = "scene0000_00",
    frames: Mapping[int, Any] | None = None,
    instances: list[Any] | None = None,
    data_set: str = "scannet",
) -> dict[str, Any]:
    """A sample of ``data_list``; ``frames`` maps raw indices to positions in ``instances``."""
    frames = {0: [0, 1], 10: [1], 40: []} if frames is None else frames
    folder = f"{data_set}/posed_images/{scene_id}"
    images = [
        {
            "img_path": f"{folder}/{frame:05d}.jpg",
            "depth_path": f"{folder}/{frame:05d}.png",
            "cam2global": np.eye(4),
            "visible_instance_ids": shown,
        }
        for frame, shown in frames.items()
    ]
    return {
        "sample_idx": f"{data_set}/{scene_id}",
        "axis_align_matrix": ALIGNMENT.copy(),
        "cam2img": np.diag([1170.0, 1170.0, 1.0, 1.0]),
        "images": images,
        "instances": [instance(3), instance(7, 3)] if instances is None else instances,
    }


def write_embodiedscan(path: Path, samples: Sequence[Any], *, protocol: int = 4) -> Path:
    """``embodiedscan_infos_*.pkl``."""
    content = {"metainfo": {"categories": CATEGORIES}, "data_list": list(samples)}
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    return path


def sentence(scene_id: str = "scene0000_00", object_id: Any = "3", ann_id: Any = "0", **changes: Any) -> dict[str, Any]:
    """An item of ScanRefer."""
    text = "this is a black chair. it is left of the table."
    fields = {"scene_id": scene_id, "object_id": object_id, "object_name": "office_chair", "ann_id": ann_id}
    return {**fields, "description": text, "token": text.split(), **changes}


def write_json(path: Path, content: Any, *, newline: str = "\n", **options: Any) -> Path:
    """A JSON file, indented as ScanRefer is unless told otherwise."""
    text = json.dumps(content, **{"indent": 2, **options})
    path.write_bytes(text.replace("\n", newline).encode())
    return path


def conversation(question: str, answer: str, images: Sequence[str], **fields: Any) -> dict[str, Any]:
    """An item of a GAP-MLLM or VG-LLM file."""
    turns = [{"from": "human", "value": question}, {"from": "gpt", "value": answer}]
    return {"conversations": turns, "images": list(images), **fields}


def images(frames: Sequence[int], scene_id: str = "scene0000_00", prefix: str = "scannet/posed_images/") -> list[str]:
    """Paths as they stand in conversation files."""
    return [f"{prefix}{scene_id}/{frame:05d}.jpg" for frame in frames]


def detection(boxes: Sequence[tuple[str, Sequence[float]]], frames: Sequence[int], **fields: Any) -> dict[str, Any]:
    """A detection item with VG-LLM's first wording."""
    entries: list[dict[str, Any]] = [
        {"label": label, "bbox_3d": [float(value) for value in values]} for label, values in boxes
    ]
    rounded = [json.dumps({**entry, "bbox_3d": [round(value, 2) for value in entry["bbox_3d"]]}) for entry in entries]
    answer = "```json\n[\n\t" + ",\n\t".join(rounded) + "\n]```"
    question = (
        "<image>" * len(frames) + "Detect the 3D bounding boxes in the camera coordinate system of the first frame."
    )
    return conversation(question, answer, images(frames), boxes=entries, **fields)


def npy(array: NDArray[Any]) -> bytes:
    """An array as ``.npy``."""
    buffer = io.BytesIO()
    np.save(buffer, array, allow_pickle=False)
    return buffer.getvalue()


def write_npz(path: Path, members: Mapping[str, bytes]) -> Path:
    """An ``.npz`` of ready members."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(f"{name}.npy", data)
    return path


def sparse_members(dense: NDArray[np.bool_], form: str) -> dict[str, bytes]:
    """What scipy's ``save_npz`` writes for a matrix."""
    lines = dense.T if form == "csc" else dense
    rows, columns = np.nonzero(lines)
    values = np.ones(len(rows), dtype=np.float64)
    members = {"format": npy(np.array(form.encode())), "shape": npy(np.array(dense.shape)), "data": npy(values)}
    if form == "coo":
        return {**members, "row": npy(rows.astype(np.int32)), "col": npy(columns.astype(np.int32))}
    starts = np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=len(lines)))]).astype(np.int32)
    return {**members, "indices": npy(columns.astype(np.int32)), "indptr": npy(starts)}
