"""Read the names of samples and images in EmbodiedScan's files, which cover four data sets.

=============================  ==========================  ================================================
sample                         scene id                    images
=============================  ==========================  ================================================
``scannet/scene0000_00``       ``scene0000_00``            ``.../scene0000_00/00350.jpg``
``3rscan/<scan id>``           the scan's id               ``<scan id>/sequence/frame-000350.color.jpg``
``arkitscenes/<fold>/<id>``    the capture's id            named by time stamps
``matterport3d/<house>/<r>``   ``<house>_<r>``, a region   named by tripod, camera and turn
=============================  ==========================  ================================================
"""

from __future__ import annotations

import re
from typing import Any

from gapdata.annotations.frame_names import MAX_FRAME_ID, MAX_PATH, SCENE_NAME, frame_of_path

DATA_SETS = ("scannet", "3rscan", "arkitscenes", "matterport3d")
"""By the names of our sources, which EmbodiedScan uses, too."""
BY_NUMBER = frozenset({"scannet", "3rscan"})
"""Data sets whose images have raw indices in their names."""
SEQUENCE_FILE = re.compile(r"(?:.*/)?([^/]+)/sequence/frame-([0-9]{1,6})\.color\.jpg")
PART = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,79}")


def place_of_sample(name: Any) -> tuple[str, str] | None:
    """Return the data set and our scene id of a sample; the id is empty where it cannot be one.

    ``None`` stands for something else than a name.
    """
    if not isinstance(name, str) or len(name) > MAX_PATH:
        return None
    data_set, *parts = name.split("/")
    if data_set in ("arkitscenes", "matterport3d"):
        if len(parts) != 2 or not all(map(PART.fullmatch, parts)):
            return data_set, ""
        return data_set, parts[1] if data_set == "arkitscenes" else region_scene(*parts)
    scene_id = "/".join(parts)
    return data_set, scene_id if SCENE_NAME.fullmatch(scene_id) else ""


def region_scene(house: str, region: str) -> str:
    """Return the scene id of a region of a house of Matterport3D."""
    return f"{house}_{region}"


def frame_of_image(data_set: str, scene_id: str, path: Any) -> int | None:
    """Return the raw index of a scene's image; ``None`` for the path of something else.

    Args:
        data_set: one of :data:`BY_NUMBER`.
        scene_id: the scene that the image must be of.
        path: ``img_path``.
    """
    if data_set == "scannet":
        place = frame_of_path(path)
        return None if place is None or place[0] != scene_id else place[1]
    match = SEQUENCE_FILE.fullmatch(path) if isinstance(path, str) and len(path) <= MAX_PATH else None
    if match is None or match[1] != scene_id or int(match[2]) > MAX_FRAME_ID:
        return None
    return int(match[2])
