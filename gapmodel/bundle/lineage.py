"""What a bundled model was made from: base models, the scans of its builds and their terms, and its training."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapdata.errors import UsageError
from gapdata.export.export_build import stated_terms
from gapdata.files.storage import Location
from gapdata.shards.reader import ShardReader
from gapmodel.checkpoints import read_json
from gapmodel.model_directory import RECIPE_FILE, RUN_FILE
from gapmodel.training.checkpointing import build_digest

PUBLIC_BASE = re.compile(r"Qwen3-VL-\d+B-(?:Instruct|Thinking)")
PERMISSIVE = ("apache-2.0", "mit", "bsd-2-clause", "bsd-3-clause", "cc0-1.0", "cc-by-4.0")
"""Licences, in small letters, under which weights may be given on with any others."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Scans:
    """Scans of one kind in the builds that a model was trained on."""

    title: str
    terms: str
    redistributable: bool
    scenes: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Lineage:
    """What a model was made from, as far as it is known."""

    base_models: tuple[str, ...]  # names on the Hugging Face Hub
    scans: tuple[Scans, ...]
    """Empty where no build was named."""
    taught: tuple[str, ...]
    recipe: Mapping[str, Any]
    """The training recipe without the places of files; empty where there is none."""


def read_lineage(
    directory: Path, model: Path, builds: Sequence[Location], base_models: Sequence[str], taught: Sequence[str]
) -> Lineage:
    """Read a model's lineage.

    Args:
        directory: what the user named: the run, or the model directory.
        model: the model directory.
        builds: that it was trained on, in all its stages.
        base_models: that the user names; found in the recipe if there are none.
        taught: the tasks of its training.

    Raises:
        UsageError: none of the builds is the one that the run was trained on.
    """
    recipe = read_json(model / RECIPE_FILE) if (model / RECIPE_FILE).is_file() else {}
    _check_builds(directory, builds)
    found = PUBLIC_BASE.search(str(recipe.get("model", {}).get("qwen", "")))
    return Lineage(
        base_models=tuple(base_models) or ((f"Qwen/{found[0]}",) if found else ()),
        scans=_scans(builds),
        taught=tuple(taught),
        recipe=without_places(recipe),
    )


def permissive(licence: str) -> bool:
    """Return whether weights under a licence may be given on with any others."""
    return licence.lower() in PERMISSIVE


def without_places(value: Any) -> Any:
    """Return plain values with the last part of each path in them alone: folders tell about people and machines."""
    if isinstance(value, Mapping):
        return {name: without_places(item) for name, item in value.items()}
    if isinstance(value, list):
        return [without_places(item) for item in value]
    return re.split(r"[/\\]", value.rstrip("/\\"))[-1] if isinstance(value, str) else value


def _check_builds(directory: Path, builds: Sequence[Location]) -> None:
    run = directory / RUN_FILE
    if not builds or not run.is_file():
        return
    trained = set(read_json(run).get("builds", {}).values())
    if trained.isdisjoint(build_digest(ShardReader(build)) for build in builds):
        raise UsageError("was trained on other builds than these", path=directory, cure="name its own with --shards")


def _scans(builds: Sequence[Location]) -> tuple[Scans, ...]:
    rows: dict[str, Scans] = {}
    for build in builds:
        for row in stated_terms(build):
            title, terms = str(row.get("title")), str(row.get("terms") or "not stated")
            before = rows[title].scenes if title in rows else 0
            shared, scenes = row.get("redistributable") is True, before + int(row.get("scenes") or 0)
            rows[title] = Scans(title=title, terms=terms, redistributable=shared, scenes=scenes)
    return tuple(rows[title] for title in sorted(rows))


def recipe_bytes(lineage: Lineage) -> bytes:
    """Return the recipe as the bundle holds it."""
    return (json.dumps(lineage.recipe, indent=2) + "\n").encode()
