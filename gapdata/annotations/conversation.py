"""A question and its answer about frames of one scene, as somebody's training or evaluation file has them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import EulerConvention

ConversationTask = Literal["recons", "det", "scanrefer1", "scanrefer2", "scanrefer", "scan2cap"]
"""Pre-training, detection, grounding's two stages (pick the frame; the box in it), VG-LLM's grounding in one pass,
dense captioning."""
TASKS: tuple[str, ...] = get_args(ConversationTask)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversationCameras:
    """The cameras that evaluation files repeat; the scan itself has them, too."""

    intrinsics: NDArray[np.float64] | None  # (3, 3), of the native colour image
    camera_to_world: NDArray[np.float64]  # (F, 4, 4) unaligned world
    axis_alignment: NDArray[np.float64]  # (4, 4) unaligned to aligned world


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ConversationItem:
    """One item of a GAP-MLLM or VG-LLM file. Question and answer are verbatim; images are named by raw frame index."""

    scene_id: str
    frame_ids: tuple[int, ...]  # raw indices in the file's order, which need not be that of time
    task: ConversationTask
    question: str  # empty for a sample that has none, such as the demo sample of GAP-MLLM
    answer: str
    source: str  # the file's name
    index: int  # of the item in its file
    mark: tuple[int, int, int] | None = None  # position of the frame, x, y in pixels of the native image
    labels: tuple[str, ...] = ()
    boxes: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 9)))
    """(B, 9) centre, size, three angles, camera of the first frame, metres and radians; unrounded, of ``labels``."""
    euler: EulerConvention | None = None  # what the file's angles mean, None where nothing shows it
    cameras: ConversationCameras | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    """Small fields of the item that have no place above, verbatim: ``metadata``, ``target``, ``gt_bbox`` and others."""
