"""Read the names of scenes and frames in annotation files. A path out of a file is taken apart, never opened."""

from __future__ import annotations

import re
from typing import Any

MAX_FRAME_ID = 200_000
"""The largest raw frame index, almost two hours at 30 Hz; a larger number in a file's name is something else."""
MAX_PATH = 1000

SCENE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FRAME_FOLDERS = "color|image_color|images|rgb"
"""Names that some exports give to the folder of images within a scene's folder."""
FRAME_FILE = re.compile(
    rf"(?:.*/)?(?!(?:{FRAME_FOLDERS})/)(?P<scene>{SCENE_NAME.pattern})/(?:(?:{FRAME_FOLDERS})/)?"
    r"(?:frame-)?(?P<frame>[0-9]{1,6})(?:\.color)?\.(?:jpg|jpeg|png)",
    re.IGNORECASE,
)


def frame_of_path(path: Any) -> tuple[str, int] | None:
    """Return scene id and raw frame index of an image's path, or ``None`` if it does not have them.

    ``scene0362_00/00350.jpg``, ``scannet/posed_images/scene0000_00/00000.jpg`` and
    ``data/media/.../scene0000_00/color/350.jpg`` are understood: the folder is the scene, the number the raw index.
    """
    if not isinstance(path, str) or len(path) > MAX_PATH:
        return None
    match = FRAME_FILE.fullmatch(path.replace("\\", "/"))
    if match is None or int(match["frame"]) > MAX_FRAME_ID:
        return None
    return match["scene"], int(match["frame"])


def scene_of_name(name: Any, data_set: str = "scannet") -> str | None:
    """Return the scene id of ``scannet/scene0000_00`` or ``scene0000_00``; ``None`` for anything else."""
    if not isinstance(name, str):
        return None
    bare = name.removeprefix(f"{data_set}/")
    return bare if SCENE_NAME.fullmatch(bare) else None
