"""Choose the views of a scan: their keys and raw frames.

They follow from the recipe's selection and from which frames are usable, and from nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.benchmark import BenchmarkQuestion
from gapdata.annotations.conversation import ConversationItem
from gapdata.frames.selection import ClipSelection, select_clips
from gapdata.records.keys import clip_key, listed_key

KIND_OF_TASK = {"scanrefer1": "scene", "scanrefer": "scene", "scan2cap": "scene", "scanrefer2": "around"}
"""The kind of view of the conversations of each task; other tasks are about clips."""

Asking = ConversationItem | BenchmarkQuestion
"""What a file asks about frames that it lists."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """The frames of a scan that one record shows."""

    key: str
    kind: str  # one of gapdata.records.schema.VIEW_KINDS
    frame_ids: tuple[int, ...]
    exact: bool = False
    """Whether the key or the questions name exactly these frames, so that the view is dropped if one is unusable."""
    about: tuple[int, str] | None = None
    """Object id and ``ann_id`` of the one description that the view was drawn for."""

    @property
    def shows_scan(self) -> bool:
        """Whether this is the view of the whole scan that is drawn for nothing in particular."""
        return self.kind == "scene" and not self.exact and self.about is None


def clip_views(scene_id: str, usable: NDArray[np.bool_], selection: ClipSelection) -> list[View]:
    """Return all clips of a scan, keyed by their first frame."""
    return [
        View(key=clip_key(scene_id, frames[0]), kind="clip", frame_ids=frames, exact=True)
        for frames in select_clips(usable, selection)
    ]


def conversation_views(scene_id: str, conversations: Iterable[Asking]) -> dict[View, list[Asking]]:
    """Return one view for each list of frames that conversations are about, with what is asked about it.

    Several lists may begin with one frame, so the key ends in a digest of all frames.
    """
    views: dict[View, list[Asking]] = {}
    for item in conversations:
        kind = KIND_OF_TASK.get(item.task, "clip")
        view = View(key=listed_key(scene_id, kind, item.frame_ids), kind=kind, frame_ids=item.frame_ids, exact=True)
        views.setdefault(view, []).append(item)
    return views
