"""Make the record of a view: cameras, objects with boxes, prompts with their points, and the encoded members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gapdata.geometry.boxes import OrientedBox
from gapdata.geometry.camera import Intrinsics, relative_poses, transform
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.prompts.instances import pixels_by_object
from gapdata.prompts.marks import mark_mask
from gapdata.prompts.sampling import PromptPixel, PromptSampling, sample_prompts
from gapdata.records.codec import MILLIMETRES_PER_METRE, empty_png, encode_npy, encode_png, member_name
from gapdata.records.expressions import Conversation, Expression
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.objects import Proposal, SceneObjects
from gapdata.records.prepare import PreparedFrame
from gapdata.records.room_floor import RoomFloor
from gapdata.records.schema import Prompt, Record, ViewObject
from gapdata.records.unique_names import scene_labels
from gapdata.records.views import View
from gapdata.sources.base import Scan

LEAST_SLACK = 0.01
"""Metres by which a box could as well lie elsewhere, below which that is not told: annotations are not better."""
METRE_DIGITS = 6
"""Positions are rounded to micrometres: far below any sensor, and the JSON stays a third shorter."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AssemblySettings:
    """The fields of a recipe that shape a record beyond its frames."""

    pointmap_stride: int
    min_visible_pixels: int
    prompts: PromptSampling
    mark_native_width: float


def assemble_record(
    scan: Scan,
    view: View,
    frames: Sequence[PreparedFrame],
    objects: SceneObjects | None,
    settings: AssemblySettings,
    *,
    expressions: Sequence[Expression | Conversation] = (),
    quality: Mapping[str, Any],
    split: str,
    split_origin: str = "",
    source: str,
    rng: np.random.Generator,
    masks: str = "",
    room: RoomFloor | None = None,
    distances: MeshDistances | None = None,
) -> Record:
    """Put one record together.

    Args:
        scan: the scan that the view belongs to.
        view: which frames.
        frames: the prepared frames of the view, in its order.
        objects: the scene's objects; ``None`` for a scan without annotation, which gets a record of geometry only.
        settings: see :class:`AssemblySettings`.
        expressions: descriptions and conversations about the view; descriptions of objects outside it are left out.
        quality: the figures of :class:`gapdata.records.quality.QualityMeter`.
        split: of the scene.
        split_origin: name of the annotation file that gives the split; empty for the data set itself.
        source: name of the data set.
        rng: seeded from the recipe and the view's key.
        masks: what instance masks are made from, see :attr:`gapdata.records.schema.Record.masks`.
        room: the floor of the scene; only views of the whole scan carry it.
        distances: of the scene's objects; the record holds those of the objects in the view.
    """
    geometry = _Geometry.of(scan, view, frames)
    view_objects, prompts = _seen(scan, geometry, frames, objects, settings, rng)
    return Record(
        key=view.key,
        scene_id=scan.scene_id,
        source=source,
        split=split,
        split_origin=split_origin,
        view=view.kind,
        frame_ids=view.frame_ids,
        image_size=geometry.image_size,
        intrinsics=np.array([[camera.fx, camera.fy, camera.cx, camera.cy] for camera in geometry.cameras]),
        camera_to_world=geometry.camera_to_world,
        camera_to_first=geometry.camera_to_first,
        axis_alignment=scan.axis_alignment,
        objects=view_objects,
        prompts=prompts,
        expressions=tuple(item.to_fields() for item in expressions if _is_about(item, view_objects)),
        scene_objects=() if objects is None else scene_labels(objects.labels),
        room=room if view.kind == "scene" else None,
        mesh_distances=None if distances is None else distances.among({item.object_id for item in view_objects}),
        quality=quality,
        turned=scan.turned,
        masks="" if objects is None else masks,
        members=_members(frames, prompts, geometry, settings),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Geometry:
    """The cameras of a view and what they measured."""

    cameras: tuple[Intrinsics, ...]  # one a frame
    camera_to_world: NDArray[np.float64]  # (N, 4, 4)
    camera_to_first: NDArray[np.float64]  # (N, 4, 4)
    depth: NDArray[np.uint16]  # (N, H, W) millimetres

    @classmethod
    def of(cls, scan: Scan, view: View, frames: Sequence[PreparedFrame]) -> _Geometry:
        camera_to_world = np.array(scan.camera_to_world[list(view.frame_ids)], dtype=np.float64)
        return cls(
            cameras=tuple(frame.camera for frame in frames),
            camera_to_world=camera_to_world,
            camera_to_first=relative_poses(camera_to_world),
            depth=np.stack([frame.depth for frame in frames]),
        )

    @property
    def image_size(self) -> tuple[int, int]:
        return self.cameras[0].width, self.cameras[0].height


def _seen(
    scan: Scan,
    geometry: _Geometry,
    frames: Sequence[PreparedFrame],
    objects: SceneObjects | None,
    settings: AssemblySettings,
    rng: np.random.Generator,
) -> tuple[tuple[ViewObject, ...], tuple[Prompt, ...]]:
    """Return the objects that frames show, and prompts on them; none where a frame does not have its objects."""
    shown = [frame.objects for frame in frames if frame.objects is not None]
    if objects is None or len(shown) < len(frames):
        return (), ()
    seen = pixels_by_object([item.pixels for item in shown])
    first = geometry.camera_to_world[0]
    view_objects = _visible_objects(objects, seen, first, scan.axis_alignment, settings.min_visible_pixels)
    labels = {item.object_id: item.label for item in view_objects}
    interiors = [item.interior(settings.prompts.border) for item in shown]
    pixels = sample_prompts(interiors, labels, settings.prompts, rng)
    return view_objects, _with_points(pixels, geometry, labels)


def _is_about(item: Expression | Conversation, listed: Sequence[ViewObject]) -> bool:
    return isinstance(item, Conversation) or any(other.object_id == item.object_id for other in listed)


def _visible_objects(
    objects: SceneObjects,
    seen: Mapping[int, tuple[int, ...]],
    first_camera_to_world: NDArray[np.float64],
    axis_alignment: NDArray[np.float64] | None,
    min_pixels: int,
) -> tuple[ViewObject, ...]:
    world_to_first = np.linalg.inv(first_camera_to_world)
    found = []
    for object_id, pixels in seen.items():
        if object_id not in objects.boxes or max(pixels) < min_pixels:
            continue
        box = objects.boxes[object_id].transformed(world_to_first)
        aligned, proposal = objects.aligned.get(object_id), objects.proposals.get(object_id)
        shown = None
        if proposal is not None and axis_alignment is not None:
            shown = _proposal(proposal, world_to_first @ np.linalg.inv(axis_alignment))
        found.append(
            ViewObject(
                object_id=object_id,
                label=objects.names[object_id],
                labels=objects.labels[object_id],
                center=_rounded(box.center),
                size=_rounded(box.size),
                rotation=tuple(_rounded(row, digits=9) for row in box.rotation),
                visible_pixels=pixels,
                aligned_box=None if aligned is None else (*_rounded(aligned[:3]), *_rounded(aligned[3:])),
                proposal=shown,
                box_slack=_slack(objects.slack.get(object_id)),
            )
        )
    return tuple(found)


def _slack(slack: tuple[float, float] | None) -> tuple[float, float] | None:
    """Return how far a box could as well lie elsewhere, in whole millimetres, or ``None`` where that is little."""
    reach, side = (0.0, 0.0) if slack is None else (round(value, 3) for value in slack)
    return (reach, side) if max(reach, side) >= LEAST_SLACK else None


def _proposal(proposal: Proposal, aligned_to_first: NDArray[np.float64]) -> dict[str, Any]:
    box = OrientedBox(center=proposal.box[:3], size=proposal.box[3:], rotation=np.eye(3)).transformed(aligned_to_first)
    return {
        "center": list(_rounded(box.center)),
        "size": list(_rounded(box.size)),
        "rotation": [list(_rounded(row, digits=9)) for row in box.rotation],
        "iou": round(proposal.iou, METRE_DIGITS),
    }


def _with_points(pixels: Sequence[PromptPixel], geometry: _Geometry, labels: Mapping[int, str]) -> tuple[Prompt, ...]:
    prompts = []
    for index, chosen in enumerate(pixels, start=1):
        u, v = chosen.pixel
        z = np.float64(np.float32(geometry.depth[chosen.frame, v, u]) / np.float32(MILLIMETRES_PER_METRE))
        seen = geometry.cameras[chosen.frame].unproject(np.array([u, v]), z)
        point = transform(geometry.camera_to_first[chosen.frame], seen)
        prompts.append(
            Prompt(
                index=index,
                frame=chosen.frame,
                pixel=chosen.pixel,
                point=_rounded(point),
                object_id=chosen.object_id,
                label=labels[chosen.object_id],
            )
        )
    return tuple(prompts)


def _members(
    frames: Sequence[PreparedFrame],
    prompts: Sequence[Prompt],
    geometry: _Geometry,
    settings: AssemblySettings,
) -> dict[str, bytes]:
    members: dict[str, bytes] = {}
    size = geometry.image_size
    for position, frame in enumerate(frames):
        members[member_name(position, "jpg")] = frame.jpeg
        members[member_name(position, "depth.png")] = frame.depth_png
        if frame.instance_png is not None:
            members[member_name(position, "instance.png")] = frame.instance_png
        marks = {prompt.index: prompt.pixel for prompt in prompts if prompt.frame == position}
        # Also for a frame without marks: some loaders take the members of the first records for those of all records.
        mask = encode_png(mark_mask(size, marks, settings.mark_native_width)) if marks else empty_png(size)
        members[member_name(position, "prompt.png")] = mask
    pointmap = first_frame_pointmap(
        geometry.depth,
        geometry.cameras,
        geometry.camera_to_first,
        settings.pointmap_stride,
        units_per_metre=MILLIMETRES_PER_METRE,
    )
    members["pointmap.npy"] = encode_npy(pointmap)
    return members


def _rounded(values: NDArray[np.float64], digits: int = METRE_DIGITS) -> tuple[float, float, float]:
    x, y, z = (round(float(value), digits) + 0.0 for value in values)
    return x, y, z
