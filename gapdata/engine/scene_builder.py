"""Builds the records of one scene, view by view.

Damage is contained at the smallest thing that it spoils: a frame that cannot be decoded takes its views with it, a
scan that cannot be opened or whose annotation is broken takes its scene; everything else is built.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gapdata.annotations.proposals import read_masks
from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.outcome import LanguageLedger, SceneOutcome, note
from gapdata.engine.plan import ScenePlan
from gapdata.engine.quality import refuse_bad_poses
from gapdata.engine.recipe import FrameRecipe, Recipe
from gapdata.engine.scan_quality import refuse_bad_scan
from gapdata.engine.views import Sightings, around_view, plan_views
from gapdata.errors import MissingInput, SourceChanged, SourceError, StoreError
from gapdata.files.storage import Location, location
from gapdata.geometry.camera import transform
from gapdata.prompts.instances import InstanceMasks, InstanceRenderer
from gapdata.prompts.projected import ProjectedInstances
from gapdata.prompts.sampling import PromptSampling
from gapdata.records.assemble import AssemblySettings, assemble_record
from gapdata.records.depth_range import median_reading, why_without_depth
from gapdata.records.expressions import Conversation, Expression
from gapdata.records.language import scene_expressions, stored_conversation
from gapdata.records.objects import SceneObjects, scene_objects, with_embodiedscan, with_proposals
from gapdata.records.poses import refused_poses, usable_poses
from gapdata.records.prepare import FramePreparer, FrameSettings, lenses_undone
from gapdata.records.quality import QualityMeter
from gapdata.records.schema import Record
from gapdata.records.views import View, conversation_views
from gapdata.seeding import generator_for
from gapdata.sources.base import Annotation, Dataset, Scan

ANNOTATIONS_FOLDER = "annotations"
EXAMINED = 8
"""Frames without depth that are read again to say why."""
NO_RECORD = "no view shows its object"
NO_BOX = "EmbodiedScan has no box of its object"


def read_scene_annotations(build: Location, scene: ScenePlan) -> SceneAnnotations:
    """What was gathered about a scene before the build began.

    Raises:
        SourceChanged: the file is not the one that was planned with.
        StoreError: it cannot be read.
    """
    if not scene.annotations:
        return SceneAnnotations(scene_id=scene.scene_id)
    path = build / ANNOTATIONS_FOLDER / f"{scene.scene_id}.json"
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StoreError(f"cannot be read: {error.strerror or error}", path=path, scene=scene.scene_id) from error
    if hashlib.sha256(data).hexdigest() != scene.annotations:
        raise SourceChanged(
            "is not the file that the build was planned with",
            path=path,
            scene=scene.scene_id,
            cure="run the same build-shards command again",
        )
    return SceneAnnotations.from_json(data)


def frame_settings(recipe: FrameRecipe) -> FrameSettings:
    """Return what a recipe says of the preparing of frames."""
    return FrameSettings(
        image_size=recipe.image_size,
        jpeg_quality=recipe.jpeg_quality,
        near=recipe.near,
        far=recipe.far,
        min_valid_depth=recipe.min_valid_depth,
    )


class SceneBuilder:
    """One scene while its records are made.

    Args:
        dataset: where the scene is from.
        scan: the scene, open.
        scene: its plan.
        recipe: what is wanted.
        annotations: what other people's files say about it.
        outcome: told of everything that is made, noticed or lost.

    Raises:
        SourceError: the scan has no usable pose, or its annotation is broken.
    """

    def __init__(
        self,
        dataset: Dataset,
        scan: Scan,
        scene: ScenePlan,
        recipe: Recipe,
        annotations: SceneAnnotations,
        outcome: SceneOutcome,
    ) -> None:
        self._dataset, self._scan, self._scene, self._recipe = dataset, scan, scene, recipe
        self._annotations, self._outcome = annotations, outcome
        outcome.notes.update(scan.notes)
        outcome.notes.update(lenses_undone(scan))
        outcome.descriptions, outcome.conversations = len(annotations.descriptions), len(annotations.conversations)
        self._usable = usable_poses(scan)
        outcome.notes.update(refused_poses(scan))
        self._empty: set[int] = set()
        self._looked_at: set[int] = set()
        self._expressions: tuple[Expression, ...] = ()
        self._sightings: Sightings | None = None
        annotation = scan.annotation()
        self._objects = None if annotation is None else self._read_objects(annotation)
        self._ledger = LanguageLedger(outcome)
        self._masks = None if annotation is None else self._read_language(annotation)
        self._preparer = FramePreparer(scan, frame_settings(recipe.frames), self._masks)
        self._meter = QualityMeter(self._preparer.camera, scan.camera_to_world, recipe.quality.min_overlap)

    def records(self, progress: Callable[[int], None]) -> Iterator[Record]:
        """Every record of the scene, in the order of its plan; ``progress`` is told of finished view frames."""
        asked = self._conversations()
        around: dict[int, list[Expression]] = {}
        views = self._views()
        self._refuse_bad_scan(views)
        for view in views:
            if view.key in asked:
                expressions: Sequence[Expression | Conversation] = asked[view.key]
            else:
                expressions = self._about(view)
            record = self._build(view, expressions)
            progress(len(view.frame_ids))
            if record is not None:
                yield self._entered(record)
                if view.kind == "scene" and not view.exact and self._recipe.around.enabled:
                    _choose_frames(record, self._expressions_of(record), around)
        for frame in sorted(around):
            view = around_view(self._scene.scene_id, self._usable, self._recipe, frame)
            record = self._build(view, around[frame])
            progress(len(view.frame_ids))
            if record is not None:
                yield self._entered(record)
        self._close()

    def _entered(self, record: Record) -> Record:
        self._outcome.count(record)
        self._ledger.enter(record)
        return record

    def _close(self) -> None:
        outcome = self._outcome
        self._ledger.close()
        outcome.empty_depth = len(self._empty)
        outcome.suspicion = self._suspicion()
        if self._masks is not None:
            outcome.notes.update(self._masks.notes)
        if not outcome.records and not outcome.quarantined and not outcome.dropped_views:
            note(outcome.dropped_views, "scan_too_short_for_any_view")

    def _suspicion(self) -> str | None:
        """Why the scene has no record, or half of its frames no depth, as far as their readings tell."""
        if 2 * len(self._empty) < max(len(self._looked_at), 1):
            return None
        limits = self._recipe.frames
        some = sorted(self._empty)[:: -(-len(self._empty) // EXAMINED)]
        medians = [median_reading(self._scan, frame) for frame in some]
        found = why_without_depth(self._scan, medians, limits.near, limits.far)
        if found is None and not self._outcome.records:
            share = f"{limits.min_valid_depth:.0%} of its pixels between {limits.near:g} and {limits.far:g} m"
            return f"every frame has depth in less than {share} (frames.min_valid_depth)"
        return found

    def _views(self) -> list[View]:
        views = self._planned(self._usable)
        made = {view.key for view in views}
        unshown = len([key for key in self._scene.keys if key not in made])
        if unshown:
            note(self._outcome.dropped_views, "no_frame_shows_the_described_object", unshown)
        return views

    def _planned(self, usable: NDArray[np.bool_]) -> list[View]:
        return plan_views(
            self._scene.scene_id,
            usable,
            self._recipe,
            self._annotations,
            evaluation=self._scene.split != "train",
            sightings=self._sightings,
        )

    def _refuse_bad_scan(self, views: Iterable[View]) -> None:
        usable = self._usable
        needed = [frame for view in views for frame in view.frame_ids if 0 <= frame < len(usable) and usable[frame]]
        quality, far = self._recipe.quality, self._recipe.frames.far
        refuse_bad_scan(self._scan, self._preparer, self._meter, usable, needed, quality, far)

    def _build(self, view: View, expressions: Iterable[Expression | Conversation]) -> Record | None:
        """One record, or ``None`` after saying why there is none."""
        try:
            final = self._usable_view(view)
            if final is None:
                return None
            prepared = [self._preparer.prepare(frame) for frame in final.frame_ids]
            quality = self._meter.measure(prepared)
            refuse_bad_poses(self._scan, final, quality, self._recipe.quality)
        except SourceError as error:
            self._outcome.quarantine(error, view.key)
            return None
        prompts, instances = self._recipe.prompts, self._recipe.instances
        return assemble_record(
            self._scan,
            final,
            prepared,
            self._preparer.camera,
            self._objects,
            AssemblySettings(
                pointmap_stride=self._recipe.frames.pointmap_stride,
                min_visible_pixels=instances.min_visible_pixels,
                prompts=PromptSampling(
                    per_view=prompts.per_view,
                    per_object=prompts.per_object,
                    border=prompts.border,
                    spacing=prompts.spacing,
                ),
                mark_native_width=prompts.mark_native_width,
            ),
            expressions=tuple(expressions),
            quality=quality,
            split=self._scene.split,
            split_origin=self._scene.split_origin,
            source=self._dataset.name,
            rng=generator_for(self._recipe.seed, "prompts", view.key),
        )

    def _usable_view(self, view: View) -> View | None:
        """The view if all its frames can be used. One that names exact frames is dropped otherwise; a scene view is
        spread anew over the frames that are left, and a view around a frame loses the neighbour.
        """
        if any(not (0 <= frame < len(self._usable) and self._usable[frame]) for frame in view.frame_ids):
            note(self._outcome.dropped_views, "names_a_frame_without_a_pose")
            return None
        while True:
            self._looked_at.update(view.frame_ids)
            found = {frame for frame in view.frame_ids if frame in self._empty or not self._preparer.has_depth(frame)}
            if not found:
                return view
            self._empty |= found
            again = None if view.exact else self._without(view, found)
            if again is None:
                note(self._outcome.dropped_views, "empty_depth")
                return None
            view = again

    def _without(self, view: View, found: set[int]) -> View | None:
        remaining = self._usable.copy()
        remaining[list(self._empty)] = False
        if view.kind == "around":
            first = view.frame_ids[0]
            return None if first in found else around_view(self._scene.scene_id, remaining, self._recipe, first)
        return next((other for other in self._planned(remaining) if other.key == view.key), None)

    def _read_objects(self, annotation: Annotation) -> SceneObjects:
        outcome, given = self._outcome, self._annotations
        outcome.annotated, outcome.unaligned = True, self._scan.axis_alignment is None
        outcome.objects = len(annotation.objects)
        outcome.notes.update(annotation.notes)
        labels = {item.object_id: self._dataset.labels(item.label) for item in annotation.objects}
        objects = scene_objects(annotation, labels, self._scan.axis_alignment)
        unmapped = sum("nyu40" not in names for names in labels.values())
        for name, count in (("label_not_in_map", unmapped), ("object_without_box", len(objects.without_box))):
            if count:
                outcome.notes[name] = count
        proposals = given.proposals
        if proposals is None and given.mask_file is not None and self._scan.axis_alignment is not None:
            proposals = read_masks(location(given.mask_file)).boxes(
                transform(self._scan.axis_alignment, annotation.vertices.astype(np.float64))
            )
        return objects if proposals is None else with_proposals(objects, proposals)

    def _read_language(self, annotation: Annotation) -> InstanceMasks:
        """Join the descriptions, and EmbodiedScan's boxes where they are wanted, to the objects; the masks."""
        given, recipe = self._annotations, self._recipe
        assert self._objects is not None
        self._expressions, dropped = scene_expressions(given.descriptions, self._objects, annotation.duplicates)
        self._outcome.dropped_descriptions.update(dropped)
        if given.boxes is not None and given.axis_alignment is not None:
            matched, partners, notes = with_embodiedscan(self._objects, given.boxes, given.axis_alignment)
            if recipe.scene_views.per_description and given.visible is not None:
                self._sightings = _sightings(partners, given)
            if recipe.objects.source == "embodiedscan":
                self._objects = matched
                self._outcome.notes.update(notes)
        elif recipe.objects.source == "embodiedscan" or recipe.scene_views.per_description:
            raise MissingInput(
                "has no boxes of EmbodiedScan, which the recipe asks for",
                scene=self._scene.scene_id,
                cure="name embodiedscan_infos_*.pkl with --annotations",
            )
        for item in self._expressions:
            boxed = item.object_id in self._objects.boxes
            self._ledger.expect(item.object_id, item.ann_id, NO_RECORD if boxed else NO_BOX)
        if recipe.instances.route == "projected":
            return ProjectedInstances(self._scan, annotation, recipe.frames.image_size)
        return InstanceRenderer(annotation, recipe.instances.tolerance, recipe.instances.relative_tolerance)

    def _about(self, view: View) -> tuple[Expression, ...]:
        """The descriptions that a view may carry: all for a shared scene view, one for a view that was drawn for it."""
        if view.kind != "scene":
            return ()
        if view.about is None:
            return self._expressions
        return tuple(item for item in self._expressions if (item.object_id, item.ann_id) == view.about)

    def _expressions_of(self, record: Record) -> list[Expression]:
        carried = {(item["object_id"], item["ann_id"]) for item in record.expressions}
        return [item for item in self._expressions if (item.object_id, item.ann_id) in carried]

    def _conversations(self) -> dict[str, list[Conversation]]:
        """What is asked about each view that conversations name, by its key."""
        asked: dict[str, list[Conversation]] = {}
        given = self._annotations.conversations
        dropped = self._outcome.dropped_conversations
        if not self._recipe.annotations.conversations:
            if given:
                note(dropped, "the recipe takes no conversations", len(given))
            return asked
        for view, items in conversation_views(self._scene.scene_id, given).items():
            stored = []
            for item in items:
                scan = self._scan
                placed = stored_conversation(item, scan.color_intrinsics, self._preparer.camera, scan.color_lens)
                if not item.question:
                    note(dropped, "has no question")
                elif placed is None:
                    note(dropped, "the mark lies outside the stored image")
                else:
                    stored.append(placed)
            asked[view.key] = stored
        return asked


def _choose_frames(record: Record, expressions: Iterable[Expression], around: dict[int, list[Expression]]) -> None:
    """Add the raw frame that shows each described object of a scene view best."""
    listed = {item.object_id: item for item in record.objects}
    for expression in expressions:
        frame = record.frame_ids[listed[expression.object_id].best_frame()]
        if expression not in around.setdefault(frame, []):
            around[frame].append(expression)


def _sightings(partners: dict[int, int], annotations: SceneAnnotations) -> dict[int, list[int]]:
    """Object id -> raw frames that show it, by EmbodiedScan; ``partners``: its box id -> object id."""
    frames: dict[int, list[int]] = {}
    for frame, ids in (annotations.visible or {}).items():
        for box_id in ids:
            if box_id in partners:
                frames.setdefault(partners[box_id], []).append(frame)
    return frames
