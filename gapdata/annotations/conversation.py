"""A question about frames of one scene with its answer, as GAP-MLLM's and VG-LLM's files have it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import EulerConvention

ConversationTask = Literal["recons", "det", "scanrefer1", "scanrefer2", "scanrefer", "scan2cap"]
"""Pre-training, detection, the two stages of grounding (choose the frame, then the box in it), VG-LLM's grounding in
one pass, and dense captioning."""
TASKS: tuple[str, ...] = get_args(ConversationTask)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversationCameras:
    """The cameras of a view, which evaluation files repeat from the scan."""

    intrinsics: NDArray[np.float64] | None  # (3, 3), of the native colour image
    camera_to_world: NDArray[np.float64]  # (F, 4, 4) unaligned world
    axis_alignment: NDArray[np.float64]  # (4, 4) unaligned to aligned world


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversationItem:
    """One item of a GAP-MLLM or VG-LLM file, with question and answer verbatim."""

    scene_id: str
    frame_ids: tuple[int, ...]  # raw frame indices in the file's order, which may not be the order of time
    task: ConversationTask
    question: str  # empty where the file has only an answer, as in GAP-MLLM's demo sample
    answer: str
    source: str  # the file's name
    index: int  # position of the item in its file
    mark: tuple[int, int, int] | None = None  # position in frame_ids, then x and y in pixels of the native image
    labels: tuple[str, ...] = ()
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 9)))
    """(B, 9) centre, size and three angles of the box of each label, in the camera of the first frame, in metres and
    radians, unrounded."""
    euler: EulerConvention | None = None  # convention of the angles; None: the file does not show it
    cameras: ConversationCameras | None = None
    images: tuple[str, ...] = ()
    """The path of each frame as the file has it, unchecked; empty where it was not asked for."""
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Other small fields of the item, verbatim: ``metadata``, ``target``, ``gt_bbox`` and more."""
