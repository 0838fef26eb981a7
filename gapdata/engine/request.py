"""What the user asks a build for, and which scenes that names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.annotations.splits import SPLITS
from gapdata.engine.recipe import Recipe
from gapdata.errors import UsageError
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location
from gapdata.runtime.choices import did_you_mean, near_names
from gapdata.runtime.counting import counted
from gapdata.sources.base import Dataset
from gapdata.sources.source_facts import SourceFacts


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the user asks for."""

    dataset: Dataset
    out: Location
    recipe: Recipe
    scene_ids: tuple[str, ...]
    annotations: Mapping[str, SceneAnnotations] = field(default_factory=dict)
    """What annotation files say, by scene."""
    annotation_report: Mapping[str, Any] = field(default_factory=dict)
    """What was taken from those files and what was not, for ``report.json``."""
    own_terms: SourceFacts | None = None
    """The terms of use that the user states for the scans, where they are not those of their kind."""
    overwrite: bool = False
    retry_failed: bool = False
    deadline: float | None = None  # seconds of one attempt at a shard; None: by its frames


def choose_scenes(
    dataset: Dataset,
    *,
    split: str | None = None,
    scenes: Sequence[str] = (),
    limit: int | None = None,
    splits: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return the scenes of a request, in natural order.

    Args:
        dataset: the scans.
        split: take only scenes of this split.
        scenes: take only these scenes.
        limit: take only this many, the first ones.
        splits: the scenes that can be built, and the split of each; by default those of the data set.

    Raises:
        UsageError: a named scene does not exist or would not be built, or no scene is left.
    """
    _refuse_unknown(dataset, scenes)
    known_splits = {scene: dataset.split(scene) for scene in dataset.scene_ids} if splits is None else splits
    _refuse_left_out(dataset, scenes, split, known_splits)
    chosen = [scene for scene in sorted(known_splits, key=natural_key) if not scenes or scene in scenes]
    chosen = [scene for scene in chosen if split is None or known_splits[scene] == split]
    chosen = chosen if limit is None else chosen[:limit]
    if not chosen:
        known = sorted(set(known_splits.values()))
        meant = "" if split in SPLITS else did_you_mean(split, sorted({*SPLITS, *known}))
        raise UsageError(
            f"has no scene of split {split!r}",
            path=dataset.root,
            cure=f"{meant}its scenes are of: {', '.join(known) or 'none'}",
        )
    return tuple(chosen)


def _refuse_unknown(dataset: Dataset, scenes: Sequence[str]) -> None:
    missing = [scene for scene in scenes if scene not in dataset.scene_ids]
    if not missing:
        return
    if missing[0] in dataset.passed_over:
        raise UsageError(dataset.passed_over[missing[0]], path=f"{dataset.root}/{missing[0]}")
    shown = near_names(missing[0], dataset.scene_ids) or list(dataset.scene_ids[:3])
    raise UsageError(
        f"has no scene {', '.join(missing)}",
        path=dataset.root,
        cure=f"among its {counted(len(dataset.scene_ids), 'scene')}: {', '.join(shown)}",
    )


def _refuse_left_out(
    dataset: Dataset, scenes: Sequence[str], split: str | None, known_splits: Mapping[str, str]
) -> None:
    """Refuse a scene that was asked for by its name and would not be built.

    Raises:
        UsageError: there is one; the error names the rule that leaves it out.
    """
    unmentioned = [scene for scene in scenes if scene not in known_splits]
    if unmentioned:
        raise UsageError(
            f"--scenes names {', '.join(unmentioned)}, but no annotation file mentions it, and with annotations.splits"
            " such a scene is left out",
            path=dataset.root,
            cure="leave it out of --scenes, name the file that mentions it with --annotations, or set"
            " annotations.splits=false",
        )
    others = [scene for scene in scenes if split is not None and known_splits[scene] != split]
    if others:
        named = ", ".join(f"{scene} ({known_splits[scene]})" for scene in others)
        raise UsageError(
            f"--scenes names scenes that are not of --split {split}: {named}",
            path=dataset.root,
            cure="leave out one of the two options",
        )
