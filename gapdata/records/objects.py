"""Find the objects of a scene: names in all taxonomies, and boxes.

Both come from the labelled mesh, and from EmbodiedScan and a detector where their files were given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.embodiedscan import AnnotatedBox
from gapdata.geometry.boxes import OrientedBox, aligned_iou, axis_aligned_box, upright_box_and_slack
from gapdata.geometry.camera import transform
from gapdata.sources.base import Annotation, SceneObject

MIN_BOX_VERTICES = 4
MIN_MATCH_IOU = 0.25
"""EmbodiedScan numbers objects in its own way: a box belongs to the instance of the mesh that it overlaps most, along
the axes of the aligned world and by at least so much."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Proposal:
    """A detector's box, along the axes of the aligned world."""

    box: NDArray[np.float64]  # (6,) centre and size, metres, aligned world
    iou: float  # with the object's own box of that kind


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObjects:
    """Names, boxes and proposals of a scene's objects, by object id."""

    names: Mapping[int, str]
    """The label that records show: the source's own, or EmbodiedScan's where its boxes are used."""
    labels: Mapping[int, Mapping[str, str]]  # taxonomy -> name
    boxes: Mapping[int, OrientedBox]  # unaligned world
    aligned: Mapping[int, NDArray[np.float64]]
    """(6,) centre and size of the box along the axes of the aligned world; empty where the scan has no alignment."""
    slack: Mapping[int, tuple[float, float]] = field(default_factory=dict)
    """:func:`gapdata.geometry.boxes.turn_slack` of the boxes that were fitted to vertices."""
    proposals: Mapping[int, Proposal] = field(default_factory=dict)
    without_box: tuple[int, ...] = ()  # too few vertices


def scene_objects(
    annotation: Annotation, labels: Mapping[int, Mapping[str, str]], axis_alignment: NDArray[np.float64] | None
) -> SceneObjects:
    """Fit upright boxes to all objects, from the mesh vertices of each; a source's own boxes stay as they are.

    Both worlds of ScanNet have z up, so a box is upright in either; where there is an alignment the box is fitted in
    the aligned world and carried back.
    """
    to_aligned = np.eye(4) if axis_alignment is None else axis_alignment
    from_aligned = np.linalg.inv(to_aligned)
    boxes, aligned, slack, without = {}, {}, {}, []
    for item in annotation.objects:
        if item.box is not None:
            boxes[item.object_id] = item.box
            if axis_alignment is not None:
                around = axis_aligned_box(item.box.transformed(to_aligned).corners)
                aligned[item.object_id] = np.concatenate([around.center, around.size])
            continue
        if len(item.vertices) < MIN_BOX_VERTICES:
            without.append(item.object_id)
            continue
        points = transform(to_aligned, annotation.vertices[item.vertices].astype(np.float64))
        fitted, slack[item.object_id] = upright_box_and_slack(points)
        boxes[item.object_id] = fitted.transformed(from_aligned)
        if axis_alignment is not None:
            box = axis_aligned_box(points)
            aligned[item.object_id] = np.concatenate([box.center, box.size])
    names = {object_id: known["raw"] for object_id, known in labels.items()}
    return SceneObjects(
        names=names, labels=labels, boxes=boxes, aligned=aligned, slack=slack, without_box=tuple(without)
    )


def annotation_of_boxes(
    own: Annotation | None, boxes: Sequence[AnnotatedBox], alignment: NDArray[np.float64]
) -> Annotation:
    """Return EmbodiedScan's boxes as the objects of a scan whose own objects have no vertices.

    Args:
        own: the scan's annotation, of which the mesh stays; ``None`` where it has none.
        boxes: in the aligned world.
        alignment: (4, 4) the scan's own to that aligned world.
    """
    to_world = np.asarray(np.linalg.inv(alignment), dtype=np.float64)
    objects = tuple(
        SceneObject(object_id=box.object_id, label=box.label, box=box.box.transformed(to_world)) for box in boxes
    )
    return Annotation(
        vertices=np.empty((0, 3), dtype=np.float32) if own is None else own.vertices,
        faces=np.empty((0, 3), dtype=np.int32) if own is None else own.faces,
        colors=np.empty((0, 3), dtype=np.uint8) if own is None else own.colors,
        objects=objects,
        notes={**({} if own is None else own.notes), "object_of_embodiedscan_only": len(objects)},
    )


def aligned_in(annotation: Annotation, objects: SceneObjects, alignment: NDArray[np.float64]) -> SceneObjects:
    """Return the objects with their boxes along the axes of another aligned world, to compare them with boxes there."""
    return replace(objects, aligned=scene_objects(annotation, objects.labels, alignment).aligned)


def with_embodiedscan(
    objects: SceneObjects, boxes: Sequence[AnnotatedBox], alignment: NDArray[np.float64]
) -> tuple[SceneObjects, dict[int, int], dict[str, int]]:
    """Return the objects that EmbodiedScan has, with its boxes and names.

    Args:
        objects: from the mesh, which has the masks.
        boxes: EmbodiedScan's.
        alignment: (4, 4) its unaligned to aligned world.

    Returns:
        The objects; the instance that each of its box ids belongs to; and how many boxes and instances are without a
        partner.
    """
    ids = [object_id for object_id in objects.boxes if object_id in objects.aligned]
    if not ids or not boxes:
        unmatched = {"embodiedscan_box_without_instance": len(boxes), "instance_without_embodiedscan_box": len(ids)}
        return _only(objects, {}), {}, {name: count for name, count in unmatched.items() if count}
    theirs = np.array([np.concatenate([box.center, box.size]) for box in map(_axis_aligned, boxes)])
    iou = aligned_iou(np.array([objects.aligned[object_id] for object_id in ids]), theirs)
    partner: dict[int, AnnotatedBox] = {}
    used: set[int] = set()
    for place in np.argsort(-iou, axis=None, kind="stable"):
        row, column = divmod(int(place), len(boxes))
        if iou[row, column] < MIN_MATCH_IOU:
            break
        if ids[row] not in partner and column not in used:
            partner[ids[row]] = boxes[column]
            used.add(column)
    matched = _only(objects, partner)
    to_world = np.linalg.inv(alignment)
    unmatched = {
        "embodiedscan_box_without_instance": len(boxes) - len(partner),
        "instance_without_embodiedscan_box": len(ids) - len(partner),
    }
    return (
        replace(
            matched,
            names={**objects.names, **{object_id: box.label for object_id, box in partner.items()}},
            labels={
                object_id: {**names, "embodiedscan": partner[object_id].label} if object_id in partner else names
                for object_id, names in objects.labels.items()
            },
            boxes={object_id: box.box.transformed(to_world) for object_id, box in partner.items()},
            slack={},
        ),
        {box.object_id: object_id for object_id, box in partner.items()},
        {name: count for name, count in unmatched.items() if count},
    )


def with_proposals(objects: SceneObjects, proposals: NDArray[np.float64]) -> SceneObjects:
    """Return each object with the proposal, of (N, 6) in the aligned world, that overlaps it best."""
    ids = list(objects.aligned)
    if not ids or not len(proposals):
        return objects
    iou = aligned_iou(np.array([objects.aligned[object_id] for object_id in ids]), proposals)
    best = iou.argmax(axis=1)
    found = {
        object_id: Proposal(box=proposals[best[row]], iou=float(iou[row, best[row]]))
        for row, object_id in enumerate(ids)
        if iou[row, best[row]] > 0
    }
    return replace(objects, proposals=found)


def _only(objects: SceneObjects, kept: Mapping[int, AnnotatedBox]) -> SceneObjects:
    return replace(objects, boxes={object_id: box for object_id, box in objects.boxes.items() if object_id in kept})


def _axis_aligned(box: AnnotatedBox) -> OrientedBox:
    return axis_aligned_box(box.box.corners)
