"""The two classes that every source defines: a :class:`Dataset` of scenes, each of which opens as a :class:`Scan`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import MissingInput, UsageError
from gapdata.files.storage import Location
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, is_rigid
from gapdata.geometry.lens import Lens
from gapdata.geometry.upright import Turn, find_turn
from gapdata.runtime.choices import near_names
from gapdata.runtime.counting import counted
from gapdata.sources.frame_facts import camera_facts, path_length
from gapdata.sources.frame_reading import FrameReading
from gapdata.sources.mask_archive import MaskArchive
from gapdata.sources.stamps import Stamps, listing_digest, stamps_of


def _no_vertices() -> NDArray[np.int64]:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One annotated instance of a scene.

    ``object_id`` is the source's own (0 is valid), ``label`` the source's own category name, and ``vertices`` the
    indices of its vertices in the scene's mesh, (n,) int64. A source that gives boxes instead of vertices sets ``box``,
    metres, in the scan's own world, and leaves ``vertices`` empty.
    """

    object_id: int
    label: str
    vertices: NDArray[np.int64] = field(default_factory=_no_vertices)
    box: OrientedBox | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Annotation:
    """The labelled mesh of a scene, in the scan's own (unaligned) world, metres.

    The mesh of a source that gives only boxes is empty, or not labelled.
    """

    vertices: NDArray[np.float32]  # (V, 3)
    faces: NDArray[np.int32]  # (T, 3)
    colors: NDArray[np.uint8]  # (V, 3) RGB
    objects: tuple[SceneObject, ...]
    notes: dict[str, int] = field(default_factory=dict)
    """Count of the known defects that were handled while reading, by name."""
    duplicates: dict[int, int] = field(default_factory=dict)
    """For each object id that was left out as a duplicate, the id of the same object that was kept."""

    def vertex_object_ids(self) -> NDArray[np.int32]:
        """Return the object id of every vertex, (V,) int32, -1 for a vertex without an object."""
        ids = np.full(len(self.vertices), -1, dtype=np.int32)
        for item in self.objects:
            ids[item.vertices] = item.object_id
        return ids


class ObjectsFile(Protocol):
    """A file beside a scan in which a user lists objects; :mod:`gapdata.sources.boxes_file` reads it."""

    def annotation(self, scan: Scan) -> Annotation:
        """Return the objects in the scan's world."""
        ...

    def digest_input(self) -> bytes:
        """Return bytes that change when the file does."""
        ...


class Scan(ABC):
    """A sequence of posed RGB-D frames that is open for reading, until its ``with`` block ends.

    A frame is named by its index in the source stream. A subclass sets the attributes without a default in its
    ``__init__`` and defines :meth:`color`, :meth:`depth` and :meth:`digest`; the other methods have defaults for a scan
    without annotation. Reading a frame may raise :class:`gapdata.errors.SourceError`, which names the file, the scene
    and the frame.

    Attributes:
        scene_id: the scene.
        path: the file or folder that the scan is read from.
        frame_count: N, the number of raw indices; frames that exist have ids in 0..N-1.
        camera_to_world: (N, 4, 4) float64, pose of the colour camera in the unaligned world, metres; not finite where
            tracking was lost and where the source has no frame.
        color_intrinsics, depth_intrinsics: the two cameras, pixels of the stored images, lens effects undone. Where
            they change from frame to frame, those of a typical frame; :meth:`color_camera` has each frame's. All
            frames have one size.
        color_lens, depth_lens: the lens of each camera; ``None`` for a pinhole camera, and where frames have lenses of
            their own (:meth:`lenses`). Depth that is registered to colour has colour's lens.
        depth_to_color: (4, 4) float64, metres; the identity where depth is registered to colour.
        depth_units_per_metre: units of :meth:`depth` in a metre.
        reading: what the user said about the frames; ``None`` where the source takes no such options.
        objects_file: the objects that a user lists beside the scan, if there are any.
        turned: degrees clockwise by which the frames are turned from how they were captured
            (:mod:`gapdata.sources.turned`).
        in_order: whether frames are decoded one after the other, as those of a video, so that going back costs a new
            start.
    """

    scene_id: str
    path: Location
    frame_count: int
    camera_to_world: NDArray[np.float64]
    color_intrinsics: Intrinsics
    depth_intrinsics: Intrinsics
    color_lens: Lens | None = None
    depth_lens: Lens | None = None
    depth_to_color: NDArray[np.float64] = np.eye(4)
    depth_units_per_metre: float = 1000.0
    reading: FrameReading | None = None
    objects_file: ObjectsFile | None = None
    turned: Turn = 0
    in_order: bool = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the files that are open; by default it does nothing."""
        return None

    @abstractmethod
    def color(self, frame: int, reduction: int = 1) -> NDArray[np.uint8]:
        """Return the colour image, (H, W, 3) uint8 RGB.

        Args:
            frame: raw index.
            reduction: 1, 2, 4 or 8, by which the sides are divided and rounded up.
        """

    @abstractmethod
    def depth(self, frame: int) -> NDArray[np.uint16]:
        """Return the depth image, (H, W) uint16 in units of ``1 / depth_units_per_metre`` metres, 0 without a value."""

    @abstractmethod
    def digest(self, *, masks: bool = False) -> str:
        """Return a SHA-256 that changes when the scan's files do; image payloads need not be read.

        Args:
            masks: include the archive of :meth:`mask_archive`.
        """

    def color_camera(self, frame: int) -> Intrinsics:
        """Return the colour camera of a frame; by default all frames have :attr:`color_intrinsics`."""
        return self.color_intrinsics

    def depth_camera(self, frame: int) -> Intrinsics:
        """Return the depth camera of a frame; by default all frames have :attr:`depth_intrinsics`."""
        return self.depth_intrinsics

    def lenses(self, frame: int) -> tuple[Lens | None, Lens | None]:
        """Return the lens of a frame's colour and of its depth; by default those of all frames."""
        return self.color_lens, self.depth_lens

    def confidence(self, frame: int) -> NDArray[np.uint8] | None:
        """Return how sure the sensor is of each depth reading, (H, W) uint8 of the size of :meth:`depth`.

        0 is low, 1 medium and 2 high; ``None`` for a scan without such images.

        Raises:
            SourceError: the frame's image is damaged.
        """
        return None

    def color_mask(self, frame: int) -> NDArray[np.uint8] | None:
        """Return which colour pixels show the scene, (H, W) uint8 of colour's size: 0 where they do not, else 255.

        Those that do not were blackened or blurred: faces, the borders of an undistorted image. They get neither depth
        nor objects. ``None`` where all of them show it.

        Raises:
            SourceError: the frame's mask is damaged.
        """
        return None

    @cached_property
    def present(self) -> NDArray[np.bool_]:
        """Tell for each raw index whether the source has it, (N,); by default it has all."""
        return np.ones(self.frame_count, dtype=bool)

    @cached_property
    def written_poses(self) -> NDArray[np.float64]:
        """Return the poses as the source has them, (N, 4, 4), before :attr:`reading` was applied."""
        return self.camera_to_world

    @property
    def notes(self) -> Mapping[str, int]:
        """Return how often each defect was met and handled while indexing, by name."""
        return {}

    @property
    def axis_alignment(self) -> NDArray[np.float64] | None:
        """Return the matrix from the unaligned to the axis-aligned world, (4, 4); ``None`` where it is not known."""
        return None

    @property
    def world_up(self) -> NDArray[np.float64] | None:
        """Return the unit vector against gravity, (3,) in the unaligned world; ``None`` where it is not known.

        Frames are turned upright by it. By default it is the z axis of the aligned world.
        """
        return None if self.axis_alignment is None else np.asarray(self.axis_alignment[2, :3])

    def color_jpeg(self, frame: int) -> bytes | None:
        """Return the file of the colour image if it can be stored as it is, else ``None``.

        It is a JPEG of three channels that need not be turned, without tags (:mod:`gapdata.files.image_tags`) and not
        decoded yet: :meth:`color` tells whether it is sound.
        """
        return None

    def annotation(self) -> Annotation | None:
        """Return the labelled mesh or the objects of :attr:`objects_file`; ``None`` for a scene without annotation."""
        return None if self.objects_file is None else self.objects_file.annotation(self)

    def mask_archive(self) -> MaskArchive:
        """Return the source's own 2D projections of its instances, open as long as the scan.

        Raises:
            SourceError: the source has none, or they cannot be read.
        """
        raise MissingInput(
            "has no projected instance masks",
            path=self.path,
            scene=self.scene_id,
            cure='render them: instances.route = "rendered"',
        )

    def describe(self) -> dict[str, Any]:
        """Return what ``gapdata inspect`` shows of the scan: frames, cameras and annotation; images are not decoded."""
        annotation = self.annotation()
        facts = {
            "scene_id": self.scene_id,
            "axis_alignment": self.axis_alignment is not None,
            **self.describe_frames(),
            "mesh": None,
            "objects": None,
        }
        if annotation is not None:
            labels = [item.label for item in annotation.objects]
            facts["mesh"] = {"vertices": len(annotation.vertices), "faces": len(annotation.faces)}
            facts["objects"] = {label: labels.count(label) for label in sorted(set(labels))}
            facts["notes"] = annotation.notes
        return facts

    def describe_frames(self) -> dict[str, Any]:
        """Return the part of :meth:`describe` about frames and cameras."""
        frames = np.flatnonzero(self.present)
        valid = is_rigid(self.camera_to_world)
        facts = {
            "path": str(self.path),
            "frames": len(frames),
            "frame_ids": f"{frames[0]} to {frames[-1]}" if len(frames) else "",
            "step": int(np.gcd.reduce(np.diff(frames))) if len(frames) > 1 else 1,
            "invalid_poses": int((self.present & ~valid).sum()),
            "turn_to_upright": None if self.world_up is None else find_turn(self.camera_to_world, self.world_up),
            "color": camera_facts(self.color_intrinsics, self.color_lens),
            "depth": {
                **camera_facts(self.depth_intrinsics, self.depth_lens),
                "shift": self.depth_units_per_metre,
            },
            "path_length_m": path_length(self.camera_to_world[valid]),
        }
        return {"frames": facts}


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset(ABC):
    """The scenes of one download, each of which opens as a :class:`Scan`. Small, so that it travels to any worker.

    A subclass gives its :attr:`name` and :meth:`open_scan`; the other methods have defaults for scenes without splits
    and without annotation.
    """

    name: ClassVar[str]
    """The ``source`` of its records: ``scannet`` or ``rgbd``."""

    root: Location
    """The folder that the user named, for messages."""
    scene_directories: Mapping[str, Location] = field(repr=False)
    """The folder of each scene, by its id, in natural order."""
    passed_over: Mapping[str, str] = field(default_factory=dict)
    """The reason why a folder that looks like a scene is left out, by the folder's name."""
    in_two_splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The splits of each scene that more than one split file names; the last one counts, which is held out."""

    @abstractmethod
    def open_scan(self, scene_id: str) -> Scan:
        """Open one scene.

        Raises:
            UsageError: there is no such scene (:meth:`directory`).
            SourceError: its frames are missing or damaged.
        """

    def directory(self, scene_id: str) -> Location:
        """Return the place of a scene.

        Raises:
            UsageError: there is no such scene; the message has some that there are.
        """
        if scene_id not in self.scene_directories:
            shown = near_names(scene_id, self.scene_ids) or self.scene_ids[:3]
            cure = f"among its {counted(len(self.scene_ids), 'scene')}: {', '.join(shown)}"
            raise UsageError(f"has no scene {scene_id}", path=self.root, cure=cure)
        return self.scene_directories[scene_id]

    @property
    def scene_ids(self) -> tuple[str, ...]:
        """Return all scenes, in natural order."""
        return tuple(self.scene_directories)

    def split(self, scene_id: str) -> str:
        """Return ``train``, ``val``, ``test``, or ``unknown`` where nothing says so."""
        return "unknown"

    def places(self, scene_id: str) -> tuple[str, ...]:
        """Return the names of the place that the scene shows, such as ``arkitscenes visit 381879``.

        Scenes of one place must not be in two splits. Empty where the source does not say what a scene shows.
        """
        return ()

    def kind(self, scene_id: str) -> str:
        """Return how the scene's frames are stored: ``sens``, the name of a layout, or ``missing``."""
        return self.name

    def annotated(self, scene_id: str) -> bool:
        """Return whether the scene comes with objects; the file is looked for and not read."""
        return False

    def labels(self, label: str) -> dict[str, str]:
        """Return the names of a :attr:`SceneObject.label` by taxonomy, ``raw`` always among them."""
        return {"raw": label}

    def stamps(self, scene_id: str) -> Stamps:
        """Return size and time of the last change of the files that the scene is read from."""
        return stamps_of([self.scene_directories[scene_id]], nested=1)

    def unreadable_digest(self, scene_id: str) -> str:
        """Return a digest instead of :meth:`Scan.digest` if :meth:`open_scan` fails, so that a repair is noticed."""
        place = self.scene_directories[scene_id]
        return f"unreadable, {listing_digest(place)}" if isinstance(place, Path) else "unreadable"

    def lacks(self, scene_ids: Sequence[str], *, splits_given: bool) -> tuple[str, ...]:
        """Return a line for each missing file without which records of these scenes are poorer.

        Args:
            scene_ids: the scenes of a build.
            splits_given: whether annotation files say the splits, so that the data set need not.
        """
        return ()

    def describe(self) -> dict[str, Any]:
        """Return what ``gapdata inspect`` shows of the data set: scenes by split and kind, and those without frames."""
        splits = [self.split(scene) for scene in self.scene_ids]
        kinds = {scene: self.kind(scene) for scene in self.scene_ids}
        return {
            "path": str(self.root),
            "scenes": len(splits),
            "splits": {split: splits.count(split) for split in sorted(set(splits))},
            "source_kinds": {kind: list(kinds.values()).count(kind) for kind in sorted(set(kinds.values()))},
            **self.describe_labels(),
            "without_frames": [scene for scene, kind in kinds.items() if kind == "missing"],
        }

    def describe_labels(self) -> dict[str, Any]:
        """Return the part of :meth:`describe` about category names."""
        return {}
