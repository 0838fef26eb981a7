"""Open a scene: its usable poses, objects, instance masks and descriptions, before any frame is read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.proposals import read_masks
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.outcome import SceneOutcome
from gapdata.engine.plan import ScenePlan
from gapdata.engine.plan_views import Sightings
from gapdata.engine.recipe import FrameRecipe, Recipe
from gapdata.errors import MissingInput
from gapdata.files.storage import location
from gapdata.geometry.camera import transform
from gapdata.prompts.box_masks import BoxMasks, with_vertices_in_boxes
from gapdata.prompts.instances import InstanceMasks, InstanceRenderer
from gapdata.prompts.projected import ProjectedInstances
from gapdata.records.expressions import Expression
from gapdata.records.find_floor import find_floor
from gapdata.records.find_mesh_distances import find_mesh_distances
from gapdata.records.language import scene_expressions
from gapdata.records.mesh_distances import MeshDistances
from gapdata.records.objects import (
    SceneObjects,
    aligned_in,
    annotation_of_boxes,
    scene_objects,
    with_embodiedscan,
    with_proposals,
)
from gapdata.records.poses import refused_poses, usable_poses
from gapdata.records.prepare import FrameSettings, lenses_undone, stored_size
from gapdata.records.room_floor import RoomFloor
from gapdata.records.views import View
from gapdata.sources.base import Annotation, Dataset, Scan

NO_RECORD = "no view shows its object"
NO_BOX = "EmbodiedScan has no box for its object"
SAME_WORLD = 0.01
"""How far the entries of two alignments differ at most if they lead to the same aligned world: rounding, metres."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class OpenScene:
    """A scan that is open, with what is known of it before its frames are read."""

    dataset: str  # name of the source
    scan: Scan
    plan: ScenePlan
    recipe: Recipe
    annotations: SceneAnnotations
    usable: NDArray[np.bool_]  # (N,) frames with a valid pose
    objects: SceneObjects | None = None  # None without annotation
    masks: InstanceMasks | None = None  # None without annotation
    masks_from: str = ""  # see gapdata.records.schema.Record.masks
    room: RoomFloor | None = None  # None where no view of the whole scan is made, and where no floor is labelled
    distances: MeshDistances | None = None  # None without labelled mesh
    expressions: tuple[Expression, ...] = ()  # descriptions of its objects
    sightings: Sightings | None = None  # None where views are not drawn for descriptions

    def has_pose(self, frame: int) -> bool:
        """Return whether the scan has that frame, with a valid pose."""
        return 0 <= frame < len(self.usable) and bool(self.usable[frame])

    def usable_frames(self, views: Iterable[View]) -> list[int]:
        """Return the frames of views that have a valid pose, in their order."""
        return [frame for view in views for frame in view.frame_ids if self.has_pose(frame)]

    def reasons_if_lost(self) -> dict[tuple[int, str], str]:
        """Return the reason to give if no record carries a description, by its object id and ``ann_id``."""
        boxes = {} if self.objects is None else self.objects.boxes
        return {
            (item.object_id, item.ann_id): NO_RECORD if item.object_id in boxes else NO_BOX for item in self.expressions
        }


def frame_settings(recipe: FrameRecipe) -> FrameSettings:
    """Return what a recipe says about storing frames."""
    return FrameSettings(
        image_size=recipe.image_size,
        jpeg_quality=recipe.jpeg_quality,
        near=recipe.near,
        far=recipe.far,
        min_confidence=recipe.min_confidence,
        swap_portrait=recipe.portrait == "swap",
        min_valid_depth=recipe.min_valid_depth,
    )


def open_scene(
    dataset: Dataset,
    scan: Scan,
    plan: ScenePlan,
    recipe: Recipe,
    annotations: SceneAnnotations,
    outcome: SceneOutcome,
) -> OpenScene:
    """Read what a scene has beside its frames.

    Args:
        dataset: where the scene is from.
        scan: the scene, open.
        plan: what the build expects of it.
        recipe: what is wanted.
        annotations: what annotation files say about it.
        outcome: counts what is noticed and dropped.

    Raises:
        SourceError: the scan does not have a usable pose, or its annotation is broken.
    """
    outcome.notes.update(scan.notes)
    outcome.notes.update(lenses_undone(scan))
    if scan.turned:
        outcome.notes[f"frames_turned_by_{scan.turned}"] = int(scan.present.sum())
    outcome.descriptions = len(annotations.descriptions)
    outcome.conversations = len(annotations.conversations) + len(annotations.questions)
    usable = usable_poses(scan)
    outcome.notes.update(refused_poses(scan))
    scene = OpenScene(dataset=dataset.name, scan=scan, plan=plan, recipe=recipe, annotations=annotations, usable=usable)
    annotation, boxes_alone = _annotation(scan, recipe, annotations)
    if annotation is None:
        return scene
    objects = _own_objects(dataset, scan, annotation, outcome)
    objects = _with_proposals(objects, scan, annotation, annotations)
    expressions, dropped = scene_expressions(annotations.descriptions, objects, annotation.duplicates)
    outcome.dropped_descriptions.update(dropped)
    if boxes_alone:
        objects, sightings = _of_embodiedscan_only(objects, recipe, annotations)
    else:
        objects, sightings = _with_embodiedscan(objects, scan, annotation, recipe, annotations, outcome)
    masks, masks_from = _masks(scan, annotation, objects, recipe)
    return replace(
        scene,
        objects=objects,
        room=_room(scan, annotation, objects, recipe),
        distances=find_mesh_distances(annotation, objects),
        masks=masks,
        masks_from=masks_from,
        expressions=expressions,
        sightings=sightings,
    )


def _room(scan: Scan, annotation: Annotation, objects: SceneObjects, recipe: Recipe) -> RoomFloor | None:
    """Return the floor, where views of the whole scan are made, which carry it."""
    if not recipe.scene_views.enabled or scan.axis_alignment is None:
        return None
    return find_floor(annotation, objects.labels, scan.axis_alignment)


def _annotation(scan: Scan, recipe: Recipe, given: SceneAnnotations) -> tuple[Annotation | None, bool]:
    """Return the objects, and whether they are EmbodiedScan's boxes because the scan has no vertices of its own."""
    own = scan.annotation()
    wanted = recipe.objects.source == "embodiedscan" and given.boxes is not None and given.axis_alignment is not None
    if not wanted or (own is not None and any(len(item.vertices) for item in own.objects)):
        return own, False
    assert given.boxes is not None
    assert given.axis_alignment is not None
    return annotation_of_boxes(own, given.boxes, given.axis_alignment), True


def _own_objects(dataset: Dataset, scan: Scan, annotation: Annotation, outcome: SceneOutcome) -> SceneObjects:
    """Return the objects of the labelled mesh."""
    outcome.annotated, outcome.unaligned = True, scan.axis_alignment is None
    outcome.objects = len(annotation.objects)
    outcome.notes.update(annotation.notes)
    labels = {item.object_id: dataset.labels(item.label) for item in annotation.objects}
    objects = scene_objects(annotation, labels, scan.axis_alignment)
    unmapped = sum("nyu40" not in names for names in labels.values())
    for name, count in (("label_not_in_map", unmapped), ("object_without_box", len(objects.without_box))):
        if count:
            outcome.notes[name] = count
    return objects


def _with_proposals(
    objects: SceneObjects, scan: Scan, annotation: Annotation, annotations: SceneAnnotations
) -> SceneObjects:
    """Return the objects with a detector's boxes, where its file or its masks were given."""
    proposals = annotations.proposals
    if proposals is None and annotations.mask_file is not None and scan.axis_alignment is not None:
        vertices = transform(scan.axis_alignment, annotation.vertices.astype(np.float64))
        proposals = read_masks(location(annotations.mask_file)).boxes(vertices)
    return objects if proposals is None else with_proposals(objects, proposals)


def _of_embodiedscan_only(
    objects: SceneObjects, recipe: Recipe, given: SceneAnnotations
) -> tuple[SceneObjects, Sightings | None]:
    """Return objects that are EmbodiedScan's boxes with its names, and which frames show them."""
    labels = {object_id: {**names, "embodiedscan": names["raw"]} for object_id, names in objects.labels.items()}
    drawn = bool(recipe.scene_views.per_description) and given.visible is not None
    partners = {object_id: object_id for object_id in objects.boxes}
    return replace(objects, labels=labels), _sightings(partners, given.visible or {}) if drawn else None


def _with_embodiedscan(
    objects: SceneObjects,
    scan: Scan,
    annotation: Annotation,
    recipe: Recipe,
    given: SceneAnnotations,
    outcome: SceneOutcome,
) -> tuple[SceneObjects, Sightings | None]:
    """Return the objects with EmbodiedScan's boxes, and which frames show them, where the recipe wants either.

    Raises:
        MissingInput: the recipe wants them, and no file has any for this scene.
    """
    own, drawn = recipe.objects.source == "embodiedscan", bool(recipe.scene_views.per_description)
    if given.boxes is None or given.axis_alignment is None:
        if own or drawn:
            raise MissingInput(
                "has no boxes of EmbodiedScan, which the recipe asks for",
                scene=scan.scene_id,
                cure="name embodiedscan_infos_*.pkl with --annotations",
            )
        return objects, None
    compared = objects
    if scan.axis_alignment is None or np.abs(scan.axis_alignment - given.axis_alignment).max() > SAME_WORLD:
        compared = aligned_in(annotation, objects, given.axis_alignment)
    matched, partners, notes = with_embodiedscan(compared, given.boxes, given.axis_alignment)
    sightings = _sightings(partners, given.visible) if drawn and given.visible is not None else None
    if not own:
        return objects, sightings
    outcome.notes.update(notes)
    return replace(matched, aligned=objects.aligned), sightings


def _sightings(partners: Mapping[int, int], visible: Mapping[int, Iterable[int]]) -> Sightings:
    """Return the raw frames that show each object.

    Args:
        partners: EmbodiedScan's box id -> object id.
        visible: raw frame -> EmbodiedScan's ids of the boxes that it shows.
    """
    frames: dict[int, list[int]] = {}
    for frame, ids in visible.items():
        for box_id in ids:
            if box_id in partners:
                frames.setdefault(partners[box_id], []).append(frame)
    return frames


def _masks(scan: Scan, annotation: Annotation, objects: SceneObjects, recipe: Recipe) -> tuple[InstanceMasks, str]:
    """Return the way to make instance masks, and what records say of it."""
    instances, boxed = recipe.instances, any(item.box is not None for item in annotation.objects)
    if instances.route == "projected":
        size = stored_size(scan.color_intrinsics, frame_settings(recipe.frames))
        return ProjectedInstances(scan, annotation, size), ""
    if boxed and (instances.of_boxes == "depth" or not len(annotation.faces)):
        return BoxMasks(objects.boxes, scan.world_up), "boxes"
    if boxed:
        annotation = with_vertices_in_boxes(annotation, scan.world_up)
    renderer = InstanceRenderer(annotation, instances.tolerance, instances.relative_tolerance)
    return renderer, "boxes-mesh" if boxed else ""
