"""Define the record: one view of one scene with its prompts, objects and expressions.

A record is what a shard stores: the JSON member described here, and one member each for a frame's image, depth,
instance mask and prompt mask (:mod:`gapdata.records.codec` turns those into arrays). Fields may be added to schema 1;
these keep their names.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, get_args

import numpy as np
from numpy.typing import NDArray

from gapdata.errors import ShardError
from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, transform
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records import codec
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.room_floor import RoomFloor
from gapdata.runtime.counting import counted

if TYPE_CHECKING:
    import open3d

SCHEMA = 1
ViewKind = Literal["clip", "scene", "around"]
VIEW_KINDS: tuple[str, ...] = get_args(ViewKind)
FRAME_FIGURES = ("valid_depth", "sharpness")
"""Quality figures that a record has for each frame."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewObject:
    """An annotated object that is visible in a view; its box is oriented, metres, in the camera of the first frame."""

    object_id: int
    label: str
    labels: Mapping[str, str]  # taxonomy name -> label, e.g. {"raw": "office chair", "nyu40": "chair"}
    center: tuple[float, float, float]
    size: tuple[float, float, float]  # full extents along the box's own axes
    rotation: tuple[tuple[float, float, float], ...]  # 3x3, box axes to first camera
    visible_pixels: tuple[int, ...]  # (F,)
    aligned_box: tuple[float, ...] | None = None
    """Centre and full size (6,) of the box of the object's vertices along the axes of the aligned world: ScanRefer's
    box. ``None`` where the scan has no axis alignment. An oriented box does not determine it, so it is stored."""
    proposal: Mapping[str, Any] | None = None
    """The detector's proposal that overlaps the object best, as an oriented box in the first camera: ``center`` [3],
    ``size`` [3], ``rotation`` [3][3], and its ``iou`` with the object's box."""

    box_slack: tuple[float, float] | None = None
    """Metres by which a side of the box, and the length of its longest one, could as well be others: around something
    round there are several smallest boxes (:func:`gapdata.geometry.boxes.turn_slack`). ``None`` where there is one."""

    @property
    def box(self) -> OrientedBox:
        """The oriented box, metres, in the camera of the first frame."""
        return OrientedBox(center=np.array(self.center), size=np.array(self.size), rotation=np.array(self.rotation))

    def transformed(self, matrix: NDArray[np.float64]) -> ViewObject:
        """Return the object with its boxes moved by a rigid (4, 4) transform; the aligned box stays in the world."""
        box, proposal = self.box.transformed(matrix), self.proposal
        if proposal is not None:
            center, rotation = transform(matrix, np.array(proposal["center"])), matrix[:3, :3] @ proposal["rotation"]
            proposal = {**proposal, "center": center.tolist(), "rotation": rotation.tolist()}
        rotation = tuple(_triple(row) for row in box.rotation)
        return replace(self, center=_triple(box.center), rotation=rotation, proposal=proposal)

    def shows_in(self, frames: Sequence[int]) -> bool:
        """Return whether any of some frames shows a pixel of the object."""
        return any(self.visible_pixels[frame] for frame in frames)

    def seen_in(self, frames: Sequence[int]) -> ViewObject:
        """Return the object of a view of some frames, in that order."""
        return replace(self, visible_pixels=tuple(self.visible_pixels[frame] for frame in frames))

    def best_frame(self) -> int:
        """Return the position of the frame that shows the most pixels of the object, the earlier one of equals.

        Raises:
            ShardError: no frame shows it.
        """
        if max(self.visible_pixels, default=0) <= 0:
            raise ShardError(f"no frame of the view shows object {self.object_id}", cure="ask about objects in sight")
        return self.visible_pixels.index(max(self.visible_pixels))


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneLabel:
    """Objects of one name in a scan, seen or not."""

    labels: Mapping[str, str]  # taxonomy -> name, as in ViewObject
    count: int

    def to_fields(self) -> dict[str, Any]:
        """Return plain values, as JSON holds them."""
        return {"labels": dict(self.labels), "count": self.count}


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A marked pixel and its answer: the object there, and the point in metres in the first frame's camera."""

    index: int  # 1-based; its value in the prompt mask
    frame: int  # position within the view
    pixel: tuple[int, int]  # (u, v) of the stored image
    point: tuple[float, float, float]  # metres, first camera
    object_id: int | None
    label: str | None

    def transformed(self, matrix: NDArray[np.float64]) -> Prompt:
        """Return the prompt with its point moved by a rigid (4, 4) transform."""
        return replace(self, point=_triple(transform(matrix, np.array(self.point))))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False, repr=False)
class Record:
    """One view and everything that is known about it. Array fields are float64; ``members`` holds the encoded files."""

    key: str
    scene_id: str
    source: str
    split: str
    view: str
    frame_ids: tuple[int, ...]  # raw indices of the source stream
    image_size: tuple[int, int]  # (width, height) of the stored images
    intrinsics: NDArray[np.float64]  # (F, 4) fx, fy, cx, cy in pixels of the stored image
    camera_to_world: NDArray[np.float64]  # (F, 4, 4) unaligned world
    camera_to_first: NDArray[np.float64]  # (F, 4, 4)
    axis_alignment: NDArray[np.float64] | None  # (4, 4) unaligned to aligned world
    objects: tuple[ViewObject, ...] = ()
    prompts: tuple[Prompt, ...] = ()
    expressions: tuple[Mapping[str, Any], ...] = ()
    scene_objects: tuple[SceneLabel, ...] = ()
    """All objects of the scan, seen or not, by their names; empty without annotation."""
    room: RoomFloor | None = None
    """The floor of the scene; only of views of a whole scan with a labelled floor and an aligned world."""
    mesh_distances: MeshDistances | None = None
    """Of the objects that questions may name; ``None`` where the scan has no labelled mesh."""
    quality: Mapping[str, Any] = field(default_factory=dict)
    split_origin: str = ""
    """Name of the annotation file that gives the split; empty for the data set itself."""
    turned: int = 0
    """Degrees clockwise by which the frames were turned to be upright; cameras and poses are those of the turned ones.
    """
    masks: str = ""
    """Empty for instance masks of labelled vertices. ``boxes``: the source has boxes only, and a pixel shows the
    smallest box that its depth lies in. ``boxes-mesh``: it has boxes and a mesh, whose vertices inside a box count as
    the object's."""
    schema: int = SCHEMA
    members: Mapping[str, bytes] = field(default_factory=dict, repr=False)  # by their name after ``<key>.``

    def __repr__(self) -> str:
        width, height = self.image_size
        holds = ", ".join(
            counted(len(getattr(self, name)), name[:-1]) for name in ("objects", "prompts", "expressions")
        )
        return f"<Record {self.key}: {counted(len(self), 'frame')} of {width}x{height}, {holds}>"

    def __len__(self) -> int:
        """Return the number of frames."""
        return len(self.frame_ids)

    @property
    def cameras(self) -> tuple[Intrinsics, ...]:
        """The intrinsics of all stored frames."""
        return tuple(self.camera(frame) for frame in range(len(self)))

    @property
    def boxes(self) -> tuple[OrientedBox, ...]:
        """The box of each of :attr:`objects`, metres, in the camera of the first frame."""
        return tuple(item.box for item in self.objects)

    @property
    def has_instances(self) -> bool:
        """Whether the record has instance masks; the records of scans without annotation do not."""
        return any(name.endswith("instance.png") for name in self.members)

    def camera(self, frame: SupportsIndex) -> Intrinsics:
        """Return the intrinsics of one stored frame."""
        fx, fy, cx, cy = (float(value) for value in self.intrinsics[self._position(frame)])
        return Intrinsics(fx=fx, fy=fy, cx=cx, cy=cy, width=self.image_size[0], height=self.image_size[1])

    def image(self, frame: SupportsIndex) -> NDArray[np.uint8]:
        """Return a stored frame without marks, (H, W, 3) uint8 RGB.

        Raises:
            IndexError: the record does not have this frame. (All methods with a frame raise both errors.)
            ShardError: the member is missing or damaged.
        """
        return codec.decode_image(self, self._position(frame))

    def depth(self, frame: SupportsIndex) -> NDArray[np.float32]:
        """Return the depth registered to a frame, (H, W) float32 metres along the optical axis, 0 where unknown."""
        return codec.decode_depth(self, self._position(frame))

    def instances(self, frame: SupportsIndex) -> NDArray[np.uint16]:
        """Return the instance mask of a frame, (H, W) uint16: the object's id + 1, 0 where there is none.

        Raises:
            ShardError: the record has no masks, because its scan has no annotation.
        """
        if self.members and not self.has_instances and not self.objects:
            raise ShardError(
                f"record {self.key}: has no instance masks, because its scan has no annotation",
                cure="take records of annotated scans",
            )
        return codec.decode_instances(self, self._position(frame))

    def prompt_mask(self, frame: SupportsIndex) -> NDArray[np.uint16]:
        """Return the prompt mask of a frame, (H, W) uint16: k where the mark of the prompt of index k is, else 0."""
        return codec.decode_prompt_mask(self, self._position(frame))

    def pointmap(self, depth: NDArray[np.float32] | None = None) -> NDArray[np.float32]:
        """Return the 3D point of every pixel, (F, H, W, 3) float32, metres, first camera, NaN where unknown.

        Args:
            depth: what :meth:`depth` gives for all frames, (F, H, W) float32 metres, if it is decoded already.
        """
        if depth is None:
            depth = np.stack([self.depth(frame) for frame in range(len(self))])
        return first_frame_pointmap(depth, self.cameras, self.camera_to_first)

    def stored_pointmap(self) -> NDArray[np.float32]:
        """Return the stored, thinned pointmap, (F, H // s, W // s, 3) float32 metres, first camera, NaN if unknown."""
        return codec.decode_pointmap(self)

    def point_cloud(self) -> open3d.geometry.PointCloud:
        """Return all pixels with depth as coloured points, metres, in the camera of the first frame."""
        import open3d

        points = self.pointmap()
        known = np.isfinite(points).all(axis=-1)
        colors = np.stack([self.image(frame) for frame in range(len(self))])[known]
        cloud = open3d.geometry.PointCloud(open3d.utility.Vector3dVector(points[known].astype(np.float64)))
        cloud.colors = open3d.utility.Vector3dVector(colors / 255.0)
        return cloud

    def subset(self, frames: Iterable[SupportsIndex]) -> Record:
        """Return the record of some of the frames, in that order; the first of them becomes the reference.

        Cameras, boxes, points, visible pixels and members follow. Objects (with their descriptions) and prompts that
        the chosen frames do not show are left out. So are quality figures that compare frames, conversations, which are
        about exactly the frames of this record, and the floor, which some frames of a scan need not show. The key
        stays.

        Args:
            frames: positions in this record, each at most once.

        Raises:
            IndexError: the record has no such frame.
            ValueError: no frame is named, or one is named twice.
        """
        chosen = [self._position(frame) for frame in frames]
        if not chosen or len(set(chosen)) < len(chosen):
            raise ValueError(f"{chosen} does not name one or more different frames")
        if chosen == list(range(len(self))):
            return self
        position = {frame: index for index, frame in enumerate(chosen)}
        old_to_new = np.linalg.inv(self.camera_to_first[chosen[0]])
        camera_to_first = old_to_new @ self.camera_to_first[chosen]
        camera_to_first[0] = np.eye(4)
        objects = tuple(item.transformed(old_to_new).seen_in(chosen) for item in self.objects if item.shows_in(chosen))
        listed = {item.object_id for item in objects}
        return replace(
            self,
            frame_ids=tuple(self.frame_ids[frame] for frame in chosen),
            intrinsics=self.intrinsics[chosen],
            camera_to_world=self.camera_to_world[chosen],
            camera_to_first=camera_to_first,
            objects=objects,
            prompts=tuple(
                replace(prompt.transformed(old_to_new), frame=position[prompt.frame])
                for prompt in self.prompts
                if prompt.frame in position
            ),
            expressions=tuple(item for item in self.expressions if item.get("object_id") in listed),
            room=self.room if len(chosen) == len(self) else None,
            quality={
                name: [self.quality[name][frame] for frame in chosen] for name in FRAME_FIGURES if name in self.quality
            },
            members=codec.members_of_frames(self, chosen, old_to_new),
        )

    def _position(self, frame: SupportsIndex) -> int:
        """Return the position of a frame, which may count from the end."""
        if isinstance(frame, bool | np.bool_):  # of a mask; NumPy's own counted as an index before version 2
            raise TypeError("a frame is named by its position, not by True or False")
        index = operator.index(frame)
        if not -len(self) <= index < len(self):
            raise IndexError(f"record {self.key} has {counted(len(self), 'frame')}: there is no frame {index}")
        return index % len(self)

    def to_json(self) -> bytes:
        """Return the JSON member: compact, keys in schema order, so that equal records give equal bytes."""
        fields = {
            "schema": self.schema,
            "key": self.key,
            "scene_id": self.scene_id,
            "source": self.source,
            "split": self.split,
            **({"split_origin": self.split_origin} if self.split_origin else {}),
            "view": self.view,
            "frame_ids": list(self.frame_ids),
            "image_size": list(self.image_size),
            **({"turned": self.turned} if self.turned else {}),
            "intrinsics": self.intrinsics.tolist(),
            "camera_to_world": self.camera_to_world.tolist(),
            "camera_to_first": self.camera_to_first.tolist(),
            "axis_alignment": None if self.axis_alignment is None else self.axis_alignment.tolist(),
            **({"masks": self.masks} if self.masks else {}),
            "objects": [_object_fields(item) for item in self.objects],
            "prompts": [_prompt_fields(prompt) for prompt in self.prompts],
            "expressions": [dict(item) for item in self.expressions],
            **({"scene_objects": [item.to_fields() for item in self.scene_objects]} if self.scene_objects else {}),
            **({} if self.room is None else {"room": self.room.to_fields()}),
            **({} if self.mesh_distances is None else {"mesh_distances": self.mesh_distances.to_fields()}),
            "quality": dict(self.quality),
        }
        return json.dumps(fields, separators=(",", ":"), allow_nan=False).encode()


def _object_fields(item: ViewObject) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "object_id": item.object_id,
        "label": item.label,
        "labels": dict(item.labels),
        "center": list(item.center),
        "size": list(item.size),
        "rotation": [list(row) for row in item.rotation],
        "visible_pixels": list(item.visible_pixels),
    }
    # Written only where present: a record without them has the bytes that it always had.
    if item.aligned_box is not None:
        fields["aligned_box"] = list(item.aligned_box)
    if item.proposal is not None:
        fields["proposal"] = dict(item.proposal)
    if item.box_slack is not None:
        fields["box_slack"] = list(item.box_slack)
    return fields


def _prompt_fields(prompt: Prompt) -> dict[str, Any]:
    return {
        "index": prompt.index,
        "frame": prompt.frame,
        "pixel": list(prompt.pixel),
        "point": list(prompt.point),
        "object_id": prompt.object_id,
        "label": prompt.label,
    }


def _triple(values: NDArray[np.float64]) -> tuple[float, float, float]:
    return float(values[0]), float(values[1]), float(values[2])
