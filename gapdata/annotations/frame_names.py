"""Names of scenes and frames as annotation files write them. A path from a file is taken apart, never opened."""

from __future__ import annotations

import re
from typing import Any

MAX_FRAME_ID = 200_000
"""Almost two hours at 30 Hz; a larger number in a file's name is no raw index."""
MAX_PATH = 1000

SCENE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
FRAME_FOLDERS = "color|image_color|images|rgb"
"""Folders between a scene's and its images, in some exports."""
FRAME_FILE = re.compile(
    rf"(?:.*/)?(?!(?:{FRAME_FOLDERS})/)(?P<scene>{SCENE_NAME.pattern})/(?:(?:{FRAME_FOLDERS})/)?"
    r"(?:frame-)?(?P<frame>[0-9]{1,6})(?:\.color)?\.(?:jpg|jpeg|png)",
    re.IGNORECASE,
)


def frame_of_path(path: Any) -> tuple[str, int] | None:
    """Scene id and raw frame index of an image's path, or ``None``.

    ``scene0362_00/00350.jpg``, ``scannet/posed_images/scene0000_00/00000.jpg`` and
    ``data/media/.../scene0000_00/color/350.jpg`` are understood: the scene is the folder, the number the raw index.
    """
    if not isinstance(path, str) or len(path) > MAX_PATH:
        return None
    match = FRAME_FILE.fullmatch(path.replace("\\", "/"))
    if match is None or int(match["frame"]) > MAX_FRAME_ID:
        return None
    return match["scene"], int(match["frame"])


def scene_of_name(name: Any, data_set: str = "scannet") -> str | None:
    """The scene id of ``scannet/scene0000_00`` or of a bare ``scene0000_00``; ``None`` for anything else."""
    if not isinstance(name, str):
        return None
    bare = name.removeprefix(f"{data_set}/")
    return bare if SCENE_NAME.fullmatch(bare) else None
