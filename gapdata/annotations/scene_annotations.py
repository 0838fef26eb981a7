"""All that other people's files say about one scene, and its JSON: what a worker gets instead of the files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.conversation import Conversation
from gapdata.annotations.embodiedscan import AnnotatedBox
from gapdata.annotations.scanrefer import Description


@dataclass(frozen=True, slots=True, kw_only=True)
class Provenance:
    """A file that said something about the scene."""

    source: str  # its name
    kind: str
    split: str | None  # what the file claims, see gapdata.annotations.splits


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SceneAnnotations:
    """One scene. What no file spoke of is ``None`` or empty."""

    scene_id: str
    provenance: tuple[Provenance, ...] = ()
    axis_alignment: NDArray[np.float64] | None = None  # (4, 4) unaligned to aligned world, as EmbodiedScan has it
    boxes: tuple[AnnotatedBox, ...] | None = None  # EmbodiedScan's, aligned world
    visible: Mapping[int, tuple[int, ...]] | None = None
    """EmbodiedScan's: raw frame index -> object ids of ``boxes``, frames without a valid pose absent."""
    descriptions: tuple[Description, ...] = ()
    proposals: NDArray[np.float64] | None = None
    """(N, 6) Mask3D boxes, centre and full size, axis-aligned in the aligned world, metres."""
    mask_file: str | None = None
    """Mask3D's masks for :func:`gapdata.annotations.proposals.read_masks`; a box needs the mesh, too."""
    conversations: tuple[Conversation, ...] = ()

    def to_json(self) -> bytes:
        """The scene as JSON; :meth:`from_json` gives back every field exactly.

        Raises:
            AnnotationError: it is larger than a scene may be.
        """
        from gapdata.annotations.scene_json import encode

        return encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> SceneAnnotations:
        """Read what :meth:`to_json` wrote.

        Raises:
            AnnotationError: the bytes are too many, of another version, or damaged.
        """
        from gapdata.annotations.scene_json import decode

        return decode(data)
