"""The published wordings of the tasks' questions, and ours.

* ``consistent``: ours. It is theirs wherever theirs says what the answer holds, and corrected where it does not.
* ``gap``: the texts of GAP-MLLM's shipped sample and inference code (arXiv 2603.16461).
* ``vgllm_v1``: VG-LLM's first data; GAP-MLLM took over its detection text.
* ``vgllm_v2``: VG-LLM's published preprocessing scripts.

A wording brings the Euler convention that its data follows, unless the caller names another one: nine numbers in
``gap`` and ``vgllm_v1`` are ``extrinsic_zxy``, in ``vgllm_v2`` ``intrinsic_zxy``.
"""

from __future__ import annotations

from typing import Literal, get_args

from gapdata.geometry.boxes import EulerConvention
from gapdata.runtime.choices import check_choice

Wording = Literal["consistent", "gap", "vgllm_v1", "vgllm_v2"]
WORDINGS: tuple[str, ...] = get_args(Wording)


def convention_of(wording: Wording, convention: EulerConvention | None = None) -> EulerConvention:
    """Return ``convention`` where one is named, else the wording's own.

    Raises:
        UsageError: the wording is unknown.
    """
    check_choice("wording", wording, WORDINGS)
    if convention is not None:
        return convention
    return "intrinsic_zxy" if wording == "vgllm_v2" else "extrinsic_zxy"


def angle_names(wording: Wording) -> str:
    """Return the names that a wording gives to the three angles, in their order."""
    return "yaw, roll, pitch" if wording == "vgllm_v2" else "yaw, pitch, roll"


def box_format(wording: Wording) -> str:
    """Return the sentence that explains the nine numbers."""
    return (
        "The 3D bounding box format should be "
        f"[x_center, y_center, z_center, x_size, y_size, z_size, {angle_names(wording)}]."
    )
