"""Write EmbodiedScan's pickle for walks of another data set than ScanNet: boxes of whole rooms, and images by path."""

from __future__ import annotations

import pickle
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import euler_from_rotation, rotation_from_euler
from gapdata.geometry.camera import Intrinsics
from gapdata.synthetic.formats.walk import Walk
from gapdata.synthetic.releases.embodiedscan import nine_numbers
from gapdata.synthetic.releases.things import scene_things
from gapdata.synthetic.releases.vocabulary import CATEGORY_IDS, EMBODIEDSCAN
from gapdata.synthetic.render import camera_rays, cast, object_ids

FEWEST_PIXELS = 4
"""Of an object in a small image, from which on a frame shows it."""
LONGER_SIDE = 96


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SeenImage:
    """An image that EmbodiedScan has."""

    fields: Mapping[str, Any]
    """``img_path``, ``depth_path`` and what the data set says of each image, such as ``cam2img``."""
    camera: Intrinsics
    held: NDArray[np.float64]  # (4, 4) camera to the room's own world


def write_infos(path: Path, samples: Sequence[dict[str, Any]]) -> None:
    """Write ``embodiedscan_infos_<split>.pkl``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"metainfo": {"categories": dict(CATEGORY_IDS)}, "data_list": list(samples)}
    path.write_bytes(pickle.dumps(content, protocol=4))


def room_sample(
    name: str,
    walk: Walk,
    images: Sequence[SeenImage],
    room_to_world: NDArray[np.float64],
    fields: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the entry of a walk.

    Args:
        name: ``sample_idx``, such as ``3rscan/<scan id>``.
        walk: the walk.
        images: in the order of the file.
        room_to_world: (4, 4) from the room's own world to that of the written poses.
        fields: what the data set says of all images.
    """
    alignment = walk.scene.axis_alignment @ np.linalg.inv(room_to_world)
    rows = []
    for image in images:
        seen = room_to_world @ image.held
        rows.append(
            {**image.fields, "cam2global": np.array(seen.tolist()), "visible_instance_ids": _shown(walk, image)}
        )
    return {
        "sample_idx": name,
        "axis_align_matrix": np.array(alignment.tolist()),
        **(fields or {}),
        "images": rows,
        "instances": [_instance(thing) for thing in scene_things(walk.scene)],
    }


def four_by_four(camera: Intrinsics) -> NDArray[np.float64]:
    """Return a camera as EmbodiedScan writes it, (4, 4)."""
    matrix = np.eye(4)
    matrix[:3, :3] = camera.matrix
    return matrix


def _instance(thing: Any) -> dict[str, Any]:
    angles = euler_from_rotation(rotation_from_euler([thing.yaw, 0.0, 0.0], "intrinsic_zxy"), "intrinsic_zxy")
    return {
        "bbox_3d": nine_numbers(thing.center.tolist(), thing.size.tolist(), angles.tolist()),
        "bbox_label_3d": CATEGORY_IDS[EMBODIEDSCAN[thing.label]],
        "bbox_id": thing.object_id,
    }


def _shown(walk: Walk, image: SeenImage) -> list[int]:
    """Return the instances that an image shows, by their places in the list; their order is that of the object ids."""
    scale = LONGER_SIDE / max(image.camera.width, image.camera.height)
    size = (max(round(image.camera.width * scale), 1), max(round(image.camera.height * scale), 1))
    rays = camera_rays(image.camera.resized(*size), image.held)
    ids = object_ids(walk.scene, cast(walk.scene, rays.reshape(-1, 6)))
    found, pixels = np.unique(ids[ids >= 0], return_counts=True)
    return [int(object_id) for object_id in found[pixels >= FEWEST_PIXELS]]
