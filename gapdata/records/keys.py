"""Make the keys of records: ``<scene id>-<kind of view>-<rest>``.

clip     ``<scene id>-clip-<first frame id>``
scene    ``<scene id>-scene-<number>``
around   ``<scene id>-around-<frame id>``, the view of a frame and its neighbours

Frame ids have five digits. Views that conversations name are keyed by their first frame and a digest of all of them,
since several lists of frames may begin with one frame.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

OWN_CLIP = re.compile(r"-clip-\d{5}$")
"""The end of the key of a clip that follows from its first frame alone."""
VIEW_OF_SCENE = re.compile(r"(?P<scene>.+)-(?:clip|scene|around)-[^/]*")
"""A key and the scene id in it, which may have dashes itself."""


def scene_of_key(key: str) -> str:
    """Return the scene id that a record's key begins with; the key itself where it is not made as above."""
    found = VIEW_OF_SCENE.fullmatch(key)
    return key if found is None else found["scene"]


def clip_key(scene_id: str, frame: int) -> str:
    """Return the key of the clip that begins with a raw frame."""
    return f"{scene_id}-clip-{frame:05d}"


def scene_key(scene_id: str, number: int) -> str:
    """Return the key of a scene view."""
    return f"{scene_id}-scene-{number}"


def around_key(scene_id: str, frame: int) -> str:
    """Return the key of the view around a raw frame."""
    return f"{around_prefix(scene_id)}{frame:05d}"


def around_prefix(scene_id: str) -> str:
    """Return the beginning that the keys of all views around a frame of the scene share."""
    return f"{scene_id}-around-"


def listed_key(scene_id: str, kind: str, frame_ids: Sequence[int]) -> str:
    """Return the key of the view of the frames that a conversation lists."""
    digest = hashlib.sha256(" ".join(map(str, frame_ids)).encode()).hexdigest()[:8]
    return f"{scene_id}-{kind}-{frame_ids[0]:05d}-{digest}"
