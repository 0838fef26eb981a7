"""The views of a scan: their keys and raw frames, a pure function of the recipe's selection and of which frames are
usable.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.conversation import ConversationItem
from gapdata.frames.selection import ClipSelection, select_clips
from gapdata.records.keys import clip_key, listed_key

KIND_OF_TASK = {"scanrefer1": "scene", "scanrefer": "scene", "scan2cap": "scene", "scanrefer2": "around"}
"""Kind of the views that conversations name; those of the other tasks are clips."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which frames of a scan one record holds."""

    key: str
    kind: str  # one of gapdata.records.schema.VIEW_KINDS
    frame_ids: tuple[int, ...]
    exact: bool = False
    """The key or the questions name these very frames: if one of them cannot be used, the view is dropped."""
    about: tuple[int, str] | None = None
    """Object id and ``ann_id`` of the one description that the view was drawn for."""


def clip_views(scene_id: str, usable: NDArray[np.bool_], selection: ClipSelection) -> list[View]:
    """All clips of a scan, keyed by their first frame."""
    return [
        View(key=clip_key(scene_id, frames[0]), kind="clip", frame_ids=frames, exact=True)
        for frames in select_clips(usable, selection)
    ]


def conversation_views(scene_id: str, conversations: Iterable[ConversationItem]) -> dict[View, list[ConversationItem]]:
    """One view for each list of frames that conversations are about, with what is asked about it.

    Several lists may begin with one frame, so the key ends in a digest of all of them.
    """
    views: dict[View, list[ConversationItem]] = {}
    for item in conversations:
        kind = KIND_OF_TASK.get(item.task, "clip")
        view = View(key=listed_key(scene_id, kind, item.frame_ids), kind=kind, frame_ids=item.frame_ids, exact=True)
        views.setdefault(view, []).append(item)
    return views
