"""What every source offers: a :class:`Dataset` of scenes, each of which opens as a :class:`Scan` of posed RGB-D frames
with, where it is annotated, its labelled mesh.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gapdata.files.storage import Location
from gapdata.geometry.camera import Intrinsics
from gapdata.geometry.lens import Lens
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.stamps import Stamps


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One annotated instance of a scene.

    ``object_id`` is the source's own (0 is valid), ``label`` the source's own category name, and ``vertices`` the
    indices of its vertices in the scene's mesh, (n,) int64.
    """

    object_id: int
    label: str
    vertices: NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """The labelled mesh of a scene, in the scan's own (unaligned) world, metres."""

    vertices: NDArray[np.float32]  # (V, 3)
    faces: NDArray[np.int32]  # (T, 3)
    colors: NDArray[np.uint8]  # (V, 3) RGB
    objects: tuple[SceneObject, ...]
    notes: dict[str, int] = field(default_factory=dict)
    """Known defects that were handled while reading, by name, with how often."""
    duplicates: dict[int, int] = field(default_factory=dict)
    """Object ids that were left out because another object is the same, to the id of that object."""

    def vertex_object_ids(self) -> NDArray[np.int32]:
        """The object id of every vertex, (V,) int32, -1 where none."""
        ids = np.full(len(self.vertices), -1, dtype=np.int32)
        for item in self.objects:
            ids[item.vertices] = item.object_id
        return ids


class Scan(Protocol):
    """A sequence of posed RGB-D frames, addressed by the raw index of the source stream. Closed by its ``with`` block.

    Reading a frame may raise :class:`gapdata.errors.SourceError`, which names the file, the scene and the frame.
    """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    @property
    def scene_id(self) -> str: ...

    @property
    def path(self) -> Location:
        """The file or directory that the scan is read from."""
        ...

    @property
    def frame_count(self) -> int:
        """N, the number of raw indices: frames that exist have ids in 0..N-1."""
        ...

    @property
    def present(self) -> NDArray[np.bool_]:
        """(N,) which raw indices the source holds: all of a ``.sens``, every 10th or so of frames extracted with a
        step.
        """
        ...

    @property
    def notes(self) -> Mapping[str, int]:
        """What was met and handled while indexing, by name, with how often."""
        ...

    @property
    def color_intrinsics(self) -> Intrinsics:
        """Of the colour images; what :attr:`color_lens` does comes before it."""
        ...

    @property
    def depth_intrinsics(self) -> Intrinsics: ...

    @property
    def color_lens(self) -> Lens | None:
        """What keeps colour images from being a pinhole's; ``None`` where nothing does."""
        ...

    @property
    def depth_lens(self) -> Lens | None:
        """Likewise of depth images: that of colour where depth is registered to it."""
        ...

    @property
    def depth_to_color(self) -> NDArray[np.float64]:
        """(4, 4); the identity where the release is already registered, as ScanNet's is (ScanNet issue 2)."""
        ...

    @property
    def depth_units_per_metre(self) -> float: ...

    @property
    def camera_to_world(self) -> NDArray[np.float64]:
        """(N, 4, 4) float64, pose of the colour camera in the unaligned world; not finite where tracking was lost and
        where the source holds no frame.
        """
        ...

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """(4, 4), unaligned to axis-aligned world; ``None`` where the source gives none, never silently the
        identity.
        """
        ...

    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """The decoded colour image, (H, W, 3) uint8 RGB, smaller by ``reduction`` (1, 2, 4 or 8; sizes rounded up)."""
        ...

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file of the colour image with all that decides its pixels, where it is a JPEG of three channels
        that need not be turned; else ``None``. Tags are left out (:mod:`gapdata.files.image_tags`). Nobody has decoded
        it: :meth:`color` tells whether it is sound.
        """
        ...

    def depth(self, frame: int) -> NDArray[np.uint16]:
        """The sensor's depth, (H, W) uint16 in units of ``1 / depth_units_per_metre`` metres, 0 where there is none."""
        ...

    def annotation(self) -> Annotation | None:
        """The labelled mesh, or ``None`` for a scene without annotation (ScanNet's test scans)."""
        ...

    def mask_archive(self) -> MaskArchive:
        """The source's own 2D projections of its instances; open as long as the scan.

        Raises:
            SourceError: the source has none, or they cannot be read.
        """
        ...

    def digest(self, *, masks: bool = False) -> str:
        """A SHA-256 that changes when the scan's files do; image payloads are not read for it. ``masks``: those of
        :meth:`mask_archive` count, too.
        """
        ...


class Dataset(Protocol):
    """Scenes of one download. Small, so that it travels to any worker."""

    @property
    def name(self) -> str:
        """The ``source`` of its records: ``scannet`` or ``rgbd``."""
        ...

    @property
    def root(self) -> Location:
        """What the user named, for messages."""
        ...

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """All scenes, in natural order."""
        ...

    @property
    def passed_over(self) -> Mapping[str, str]:
        """Folders that look like scenes and are not taken as such, by name, with the reason."""
        ...

    def split(self, scene_id: str) -> str:
        """``train``, ``val``, ``test``, or ``unknown`` where nothing says so."""
        ...

    def kind(self, scene_id: str) -> str:
        """In which files the scene's frames were found: ``sens``, the name of a layout, or ``missing``."""
        ...

    def annotated(self, scene_id: str) -> bool:
        """Whether the scene comes with objects; looks for the file, does not read it."""
        ...

    def labels(self, label: str) -> dict[str, str]:
        """The names of a :attr:`SceneObject.label` by taxonomy, ``raw`` always among them."""
        ...

    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene.

        Raises:
            SourceError: its frames are missing or damaged.
        """
        ...

    def stamps(self, scene_id: str) -> Stamps:
        """Return size and time of the last change of the files that the scene is read from."""
        ...

    def unreadable_digest(self, scene_id: str) -> str:
        """What stands for :meth:`Scan.digest` where :meth:`open_scan` fails, so that mended files are noticed."""
        ...
