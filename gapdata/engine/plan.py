"""The plan of a build, made before any work: shard -> scenes -> record keys, and the fingerprint that a resumed build
must match.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.plan_views import expected_around, plan_views
from gapdata.engine.recipe import Recipe, check_recipe
from gapdata.errors import SourceError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location
from gapdata.geometry.camera import is_rigid
from gapdata.recipes.toml_fields import from_mapping
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.sources.base import Dataset, Scan

ENGINE_VERSION = 9
"""Raised whenever the same sources and recipe would give other bytes than before. 9: every frame has a prompt mask, a
lens is undone, JPEG files keep no tags, and records have more quality figures, by which other views are refused."""
NAMED_DIFFERENCES = 4
SHARD_NAME = re.compile(r"shard-\d{6,9}")
SCENE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""Names that a plan may hold: files are opened, and commit records removed, by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """One scene of a shard. ``problem`` says why a scene has no records where its frames cannot be used at all."""

    scene_id: str
    split: str
    source_kind: str  # see Dataset.kind
    digest: str  # of the sources
    frame_count: int
    lost_tracking: int
    keys: tuple[str, ...]
    view_frames: int  # frames of all views, shared ones counted each time
    around: int = 0  # at most so many views around a frame besides, which the scene views will name
    annotations: str = ""  # SHA-256 of the scene's annotations/<scene>.json, empty without one
    split_origin: str = ""  # the annotation file that the split is from, empty for the data set's own
    problem: str | None = None
    unaligned: bool = False  # annotated, without the matrix to the aligned world

    @property
    def most_records(self) -> int:
        """Records of the scene, those around a frame counted as many as there can be."""
        return len(self.keys) + self.around


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardPlan:
    """One shard: whole scenes of one split."""

    name: str
    split: str
    scenes: tuple[ScenePlan, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a build will contain."""

    engine: int
    source: str
    recipe: Recipe
    shards: tuple[ShardPlan, ...]

    @property
    def scenes(self) -> list[ScenePlan]:
        """All scenes in shard order."""
        return [scene for shard in self.shards for scene in shard.scenes]

    @property
    def fingerprint(self) -> str:
        """SHA-256 over engine version, recipe and the digests of all sources."""
        sources = {scene.scene_id: [scene.digest, scene.annotations] for scene in self.scenes}
        text = json.dumps([self.engine, self.source, self.recipe.to_dict(), sources], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()

    def to_json(self, expected_bytes: int) -> bytes:
        """The content of ``plan.json``; ``expected_bytes`` is an estimate for people and no part of the plan."""
        fields = {
            "fingerprint": self.fingerprint,
            "expected_bytes": expected_bytes,
            "engine": self.engine,
            "source": self.source,
            "recipe": self.recipe.to_dict(),
            "shards": [asdict(shard) for shard in self.shards],
        }
        return json.dumps(fields, indent=1).encode()


def shard_fingerprint(source: str, recipe: Recipe, shard: ShardPlan) -> str:
    """SHA-256 over what decides a shard's bytes: engine version, recipe, its scenes and their sources. A commit record
    carries it, so that one which an orphaned worker of an earlier build lands late is not taken for this build's.
    """
    scenes = [[scene.scene_id, scene.split, scene.digest, scene.annotations] for scene in shard.scenes]
    text = json.dumps([ENGINE_VERSION, source, recipe.to_dict(), shard.name, scenes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def make_plan(
    dataset: Dataset,
    recipe: Recipe,
    scene_ids: Sequence[str],
    annotations: Mapping[str, SceneAnnotations] | None = None,
) -> Plan:
    """Index every scene's frames and lay out the shards. Scenes of different splits never share a shard.

    Args:
        dataset: where the scenes are.
        recipe: what is wanted of them.
        scene_ids: which.
        annotations: what other people's files say about them, by scene.
    """
    given = annotations or {}
    scenes = [
        _plan_scene(dataset, recipe, scene_id, given.get(scene_id, SceneAnnotations(scene_id=scene_id)))
        for scene_id in sorted(scene_ids, key=natural_key)
    ]
    shards: list[ShardPlan] = []
    per_shard = recipe.shards.scenes_per_shard
    for split in sorted({scene.split for scene in scenes}):
        members = [scene for scene in scenes if scene.split == split]
        for start in range(0, len(members), per_shard):
            name = f"shard-{len(shards):06d}"
            shards.append(ShardPlan(name=name, split=split, scenes=tuple(members[start : start + per_shard])))
    return Plan(engine=ENGINE_VERSION, source=dataset.name, recipe=recipe, shards=tuple(shards))


def write_plan(plan: Plan, build: Location, expected_bytes: int) -> None:
    """Write ``plan.json``."""
    write_atomically(build / PLAN_NAME, plan.to_json(expected_bytes))


def read_plan(build: Location) -> Plan:
    """Read the plan of a build.

    Raises:
        UsageError: there is none, it cannot be read, or another engine version wrote it.
    """
    path = build / PLAN_NAME
    try:
        fields = json.loads(path.read_bytes())
        if fields["engine"] == ENGINE_VERSION:
            shards = tuple(from_mapping(ShardPlan, _with_scenes(shard), path) for shard in fields["shards"])
            recipe: Recipe = from_mapping(Recipe, fields["recipe"], path)
            check_recipe(recipe, path)
            _check_names(shards)
            return Plan(engine=fields["engine"], source=str(fields["source"]), recipe=recipe, shards=shards)
    except FileNotFoundError as error:
        raise UsageError(
            "holds no build (no plan.json)", path=build, cure="run `gapdata build-shards` first"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UsageError(
            f"plan cannot be read: {error!r}", path=path, cure="build into a new --out directory"
        ) from error
    raise UsageError(
        f"was planned by engine version {fields['engine']}, this is {ENGINE_VERSION}",
        path=path,
        cure="build into a new --out directory, or start over with --overwrite",
    )


def refuse_difference(existing: Plan, wanted: Plan, build: Location, *, retriable: bool = False) -> None:
    """A build goes on only with the same recipe and sources; ``retriable``: all that differs was quarantined.

    Raises:
        UsageError: they differ; the differences are named.
    """
    if existing.fingerprint == wanted.fingerprint:
        return
    before, after = _flat(existing.recipe.to_dict()), _flat(wanted.recipe.to_dict())
    changes = [
        f"{name} was {before.get(name)} and is {after[name]}" for name in after if before.get(name) != after[name]
    ]
    old = {scene.scene_id: (scene.digest, scene.annotations) for scene in existing.scenes}
    new = {scene.scene_id: (scene.digest, scene.annotations) for scene in wanted.scenes}
    changes += [f"{scene} is new" for scene in sorted(new.keys() - old.keys())]
    changes += [f"{scene} is gone" for scene in sorted(old.keys() - new.keys())]
    for scene in sorted(new.keys() & old.keys()):
        changes += [f"{scene} has changed"] if old[scene][0] != new[scene][0] else []
        changes += [f"the annotations of {scene} have changed"] if old[scene][1] != new[scene][1] else []
    named = ", ".join(changes[:NAMED_DIFFERENCES])
    more = f" and {len(changes) - NAMED_DIFFERENCES} more" if len(changes) > NAMED_DIFFERENCES else ""
    ways = "build into a new --out directory, or start over with --overwrite"
    raise UsageError(
        f"holds a build of another recipe or other sources: {named}{more}",
        path=build,
        cure=f"take up what was quarantined with --retry-failed, {ways}" if retriable else ways,
    )


def _plan_scene(dataset: Dataset, recipe: Recipe, scene_id: str, annotations: SceneAnnotations) -> ScenePlan:
    split, origin = split_of(dataset, recipe, annotations)
    common: dict[str, Any] = {
        "scene_id": scene_id,
        "split": split,
        "split_origin": origin,
        "source_kind": dataset.kind(scene_id),
        "annotations": hashlib.sha256(annotations.to_json()).hexdigest() if annotations.provenance else "",
    }
    try:
        with dataset.open_scan(scene_id) as scan:
            usable = is_rigid(scan.camera_to_world)
            views = plan_views(scene_id, usable, recipe, annotations, evaluation=split != "train")
            around = expected_around(views, recipe, annotations)
            neighbours = 1 + 2 * (recipe.around.reach // recipe.around.interval)
            return ScenePlan(
                **common,
                digest=planned_digest(scan, recipe),
                frame_count=int(scan.present.sum()),
                lost_tracking=int((scan.present & ~usable).sum()),
                keys=tuple(view.key for view in views),
                view_frames=sum(len(view.frame_ids) for view in views) + around * neighbours,
                around=around,
                unaligned=dataset.annotated(scene_id) and _lacks_alignment(scan),
            )
    except SourceError as error:
        return ScenePlan(
            **common,
            digest=dataset.unreadable_digest(scene_id),
            frame_count=0,
            lost_tracking=0,
            keys=(),
            view_frames=0,
            problem=error.problem,
        )


def _lacks_alignment(scan: Scan) -> bool:
    """Whether nothing says how the scan lies in its aligned world. A damaged matrix is met again by the build."""
    try:
        return scan.axis_alignment is None
    except SourceError:
        return False


def planned_digest(scan: Scan, recipe: Recipe) -> str:
    """Return the digest of a scan's files as far as the recipe uses them.

    Raises:
        SourceError: one cannot be examined.
    """
    return scan.digest(masks=recipe.instances.route == "projected")


def split_of(dataset: Dataset, recipe: Recipe, annotations: SceneAnnotations) -> tuple[str, str]:
    """What a scene is for, and the annotation file that says so (empty for the data set itself)."""
    if recipe.annotations.splits:
        for item in annotations.provenance:
            if item.split is not None:
                return item.split, item.source
    return dataset.split(annotations.scene_id), ""


def _check_names(shards: Sequence[ShardPlan]) -> None:
    names = [shard.name for shard in shards]
    scenes = [scene.scene_id for shard in shards for scene in shard.scenes]
    for kind, pattern, found in (("shard", SHARD_NAME, names), ("scene", SCENE_ID, scenes)):
        wrong = next((name for name in found if not pattern.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(f"{wrong[:100]!r} is no name of a {kind}")
        if len(set(found)) != len(found):
            raise ValueError(f"it names a {kind} twice")
    if any(min(scene.frame_count, scene.view_frames, scene.around) < 0 for shard in shards for scene in shard.scenes):
        raise ValueError("a scene has a negative number of frames")


def _with_scenes(shard: Mapping[str, Any]) -> dict[str, Any]:
    return {**shard, "scenes": tuple(from_mapping(ScenePlan, scene) for scene in shard["scenes"])}


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value, f"{prefix}{name}."))
        else:
            flat[f"{prefix}{name}"] = value
    return flat
