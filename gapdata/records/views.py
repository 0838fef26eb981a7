"""The views of a scan: their keys and raw frames, a pure function of the recipe's selection and of which frames are
usable."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.frames.selection import ClipSelection, select_clips, select_uniform


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """Which frames of a scan one record holds."""

    key: str
    kind: str  # one of gapdata.records.schema.VIEW_KINDS
    frame_ids: tuple[int, ...]


def clip_views(scene_id: str, usable: NDArray[np.bool_], selection: ClipSelection) -> list[View]:
    """All clips of a scan, keyed by their first frame."""
    return [
        View(key=f"{scene_id}-clip-{frames[0]:05d}", kind="clip", frame_ids=frames)
        for frames in select_clips(usable, selection)
    ]


def scene_view(scene_id: str, usable: NDArray[np.bool_], frames: int) -> View | None:
    """The view of ``frames`` frames spread over the scan; ``None`` where no frame is usable."""
    chosen = select_uniform(usable, frames)
    return View(key=f"{scene_id}-scene-0", kind="scene", frame_ids=chosen) if chosen else None
