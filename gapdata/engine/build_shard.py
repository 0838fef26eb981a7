"""Build one shard: a pure function of its task, wherever an executor runs it.

What is damaged (see :mod:`gapdata.engine.scene_records`) is written to ``failed/<scene>.json`` and counted in the
shard's commit record.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdata.engine.outcome import SceneOutcome
from gapdata.engine.plan import ScenePlan, ShardPlan, shard_fingerprint
from gapdata.engine.recipe import Recipe
from gapdata.engine.scene_annotation_files import read_scene_annotations
from gapdata.engine.scene_records import scene_records
from gapdata.engine.suspicions import explain_bad_poses
from gapdata.engine.unchanged import HostStamps, open_as_planned, unchanged
from gapdata.errors import SourceError
from gapdata.files.atomic import write_atomically
from gapdata.files.storage import Location
from gapdata.runtime.allocation import keep_freed_memory, spare_imports_from_collection
from gapdata.shards.writer import ShardWriter
from gapdata.sources.base import Dataset


@dataclass(frozen=True, slots=True, kw_only=True)
class ShardTask:
    """Everything that is needed to build one shard: small, so that it travels to any worker."""

    dataset: Dataset
    out: Location
    recipe: Recipe
    shard: ShardPlan
    stamps: Mapping[str, HostStamps] = field(default_factory=dict)
    """The stamps of each scene's files before the plan was made."""


def build_shard(task: ShardTask, progress: Callable[[int], None] = lambda frames: None) -> dict[str, Any]:
    """Write the shard's tar and then its commit record, and return that record.

    After an error nothing is left under the shard's name.

    Args:
        task: what to build.
        progress: called with the number of view frames that are done.

    Raises:
        OSError: the output cannot be written (a full disk).
        StoreError: a source or the output is out of reach.
        SourceChanged: a source differs from the one that the build was planned with, or changed while it was read.
    """
    keep_freed_memory()
    spare_imports_from_collection()
    outcomes: list[SceneOutcome] = []
    tar = task.out / f"{task.shard.name}.tar"
    with ShardWriter(tar) as writer:
        for scene in task.shard.scenes:
            outcomes.append(_build_scene(task, scene, writer, progress))
    if not writer.records:
        # Tools treat an empty tar as an error; a shard without records has a commit record only.
        tar.unlink()
    for outcome in outcomes:
        outcome.write_failures(task.out)
    commit = _commit_record(task, writer, outcomes)
    write_atomically(task.out / f"{task.shard.name}.json", json.dumps(commit, indent=1).encode())
    return commit


def _commit_record(task: ShardTask, writer: ShardWriter, outcomes: Sequence[SceneOutcome]) -> dict[str, Any]:
    return {
        "shard": task.shard.name,
        "fingerprint": shard_fingerprint(task.dataset.name, task.recipe, task.shard),
        "split": task.shard.split,
        "tar_bytes": writer.size if writer.records else 0,
        "sha256": writer.sha256 if writer.records else "",
        "scenes": [outcome.to_fields() for outcome in outcomes],
        "records": writer.records,
    }


def _build_scene(
    task: ShardTask, scene: ScenePlan, writer: ShardWriter, progress: Callable[[int], None]
) -> SceneOutcome:
    outcome = SceneOutcome.of(scene)
    annotations = read_scene_annotations(task.out, scene)
    with unchanged(task.dataset, scene, task.stamps.get(scene.scene_id)):
        try:
            with open_as_planned(task.dataset, scene, task.recipe) as scan:
                try:
                    for record in scene_records(task.dataset, scan, scene, task.recipe, annotations, outcome, progress):
                        writer.write(record)
                except SourceError as error:
                    outcome.quarantine(error)
                explain_bad_poses(scan, outcome)
        except SourceError as error:
            outcome.quarantine(error)
    outcome.settle()
    return outcome
