"""The plan of a build: shard -> scenes -> record keys, and the fingerprint that a resumed build must match."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from gapdata.engine.recipe import Recipe, check_recipe
from gapdata.errors import UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location
from gapdata.recipes.typed_fields import from_mapping
from gapdata.shards.fingerprint import PLAN_NAME

ENGINE_VERSION = 10
"""Raised whenever the same sources and recipe would give other bytes than before. 10: frames that lie on their side are
turned upright, and those of portrait shape are stored so."""
SHARD_NAME = re.compile(r"shard-\d{6,9}")
SCENE_ID = re.compile(r"[A-Za-z0-9_-]{1,200}")
"""Names that a plan may hold. They are checked because files are opened and removed by them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenePlan:
    """One scene of a shard."""

    scene_id: str
    split: str
    source_kind: str  # see Dataset.kind
    digest: str  # of the sources
    frame_count: int
    lost_tracking: int
    keys: tuple[str, ...]
    view_frames: int  # frames of all views, shared ones counted each time
    around: int = 0  # the most views around a frame that can be added; the scene views decide which
    annotations: str = ""  # SHA-256 of the scene's annotations/<scene>.json, empty without one
    split_origin: str = ""  # the annotation file that the split is from, empty for the data set's own
    problem: str | None = None  # why the scan cannot be read at all
    turned: int = 0  # degrees clockwise by which frames are turned to be upright
    unaligned: bool = False  # annotated, without the matrix to the aligned world
    places: tuple[str, ...] = ()  # what it shows (Dataset.places); empty in plans of before, and where nothing says so

    @property
    def most_records(self) -> int:
        """The most records that the scene can have."""
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
        """Return the content of ``plan.json``, with an estimate of the build's size for people to read."""
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
    """Return the SHA-256 over what decides a shard's bytes: engine version, recipe, its scenes and their sources.

    A commit record carries it, so that one which an orphaned worker of an earlier build writes late is recognised.
    """
    scenes = [[scene.scene_id, scene.split, scene.digest, scene.annotations] for scene in shard.scenes]
    text = json.dumps([ENGINE_VERSION, source, recipe.to_dict(), shard.name, scenes], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


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


def _check_names(shards: Sequence[ShardPlan]) -> None:
    names = [shard.name for shard in shards]
    scenes = [scene.scene_id for shard in shards for scene in shard.scenes]
    for kind, pattern, found in (("shard", SHARD_NAME, names), ("scene", SCENE_ID, scenes)):
        wrong = next((name for name in found if not pattern.fullmatch(name)), None)
        if wrong is not None:
            raise ValueError(f"{wrong[:100]!r} is not a name of a {kind}")
        if len(set(found)) != len(found):
            raise ValueError(f"a {kind} is named twice")
    if any(min(scene.frame_count, scene.view_frames, scene.around) < 0 for shard in shards for scene in shard.scenes):
        raise ValueError("a scene has a negative number of frames")


def _with_scenes(shard: Mapping[str, Any]) -> dict[str, Any]:
    return {**shard, "scenes": tuple(from_mapping(ScenePlan, scene) for scene in shard["scenes"])}
