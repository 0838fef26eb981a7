"""Runs a whole build: plan, resume or refuse, shards through an executor, index and report."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from gapdata.engine.build import FAILED_FOLDER, ShardTask
from gapdata.engine.executors import Executor
from gapdata.engine.plan import PLAN_NAME, Plan, ShardPlan, make_plan, read_plan, refuse_difference, write_plan
from gapdata.engine.progress import Progress
from gapdata.engine.recipe import Recipe
from gapdata.engine.report import REPORT_NAME, compile_report, write_report
from gapdata.errors import ShardError, UsageError
from gapdata.object_store import ObjectPath
from gapdata.shards.index import INDEX_NAME, read_commit, write_index
from gapdata.sources.base import Dataset
from gapdata.storage import Location, remove_folder

LOCK_NAME = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the user asked for."""

    dataset: Dataset
    out: Location
    recipe: Recipe
    scene_ids: tuple[str, ...]
    overwrite: bool = False


def choose_scenes(
    dataset: Dataset, *, split: str | None = None, scenes: Sequence[str] = (), limit: int | None = None
) -> tuple[str, ...]:
    """The scenes of a request, sorted.

    Raises:
        UsageError: a named scene does not exist, or nothing is left.
    """
    missing = [scene for scene in scenes if scene not in dataset.scene_ids]
    if missing:
        raise UsageError(
            f"has no scene {', '.join(missing)}", path=dataset.root, cure=f"it has {len(dataset.scene_ids)} others"
        )
    chosen = [scene for scene in dataset.scene_ids if not scenes or scene in scenes]
    chosen = [scene for scene in chosen if split is None or dataset.split(scene) == split]
    chosen = chosen if limit is None else chosen[:limit]
    if not chosen:
        known = ", ".join(sorted({dataset.split(scene) for scene in dataset.scene_ids}))
        raise UsageError(f"has no scene of split {split!r}", path=dataset.root, cure=f"its scenes are of: {known}")
    return tuple(chosen)


def plan_build(request: BuildRequest) -> Plan:
    """The plan of a request; compared with the one in the output directory if a build is there.

    Raises:
        UsageError: the directory holds a build of another recipe or other sources, or something that is no build.
    """
    plan = make_plan(request.dataset, request.recipe, request.scene_ids)
    if request.overwrite or not request.out.exists():
        return plan
    if (request.out / PLAN_NAME).exists():
        refuse_difference(read_plan(request.out), plan, request.out)
    elif any(entry.name != LOCK_NAME for entry in request.out.iterdir()):
        raise UsageError("is not empty and holds no build", path=request.out, cure="choose another --out directory")
    return plan


def run_build(request: BuildRequest, executor: Executor) -> dict[str, Any]:
    """Build what is missing and return the report.

    Raises:
        UsageError: see :func:`plan_build`; or another build into the same directory is running.
        OSError: the output cannot be written.
    """
    request.out.mkdir(parents=True, exist_ok=True)
    with _locked(request.out):
        plan = plan_build(request)
        if request.overwrite:
            _clear(request.out)
        _sweep(request.out)
        if not (request.out / PLAN_NAME).exists():
            write_plan(plan, request.out)
        missing = [shard for shard in plan.shards if not is_committed(request.out, shard)]
        tasks = [
            ShardTask(dataset=request.dataset, out=request.out, recipe=request.recipe, shard=shard) for shard in missing
        ]
        frames = sum(scene.view_frames for shard in missing for scene in shard.scenes)
        with Progress(frames, "frames", "build-shards") as progress:
            for _ in executor.run(tasks, progress):
                pass
        return finalise(request.out, plan)


def finalise(out: Location, plan: Plan) -> dict[str, Any]:
    """Compile index and report from the commit records of all shards."""
    commits = [read_commit(out / f"{shard.name}.json") for shard in plan.shards]
    report = {"fingerprint": plan.fingerprint, **compile_report(commits)}
    write_index(out, commits)
    write_report(out, report)
    return report


def is_committed(out: Location, shard: ShardPlan) -> bool:
    """Whether the shard's commit record is there, with a tar of the size that it states."""
    path = out / f"{shard.name}.json"
    if not path.is_file():
        return False
    try:
        commit = read_commit(path)
    except ShardError:
        return False
    tar = out / f"{shard.name}.tar"
    return not commit["records"] or (tar.is_file() and tar.stat().st_size == commit["tar_bytes"])


@contextmanager
def _locked(out: Location) -> Iterator[None]:
    """One build at a time in a directory; the lock goes with its process, however that ends.

    An object store has no locks. Two builds into one place there do the same work twice and harm nothing: they write
    equal bytes under equal names, and a commit record always follows its tar.
    """
    if isinstance(out, ObjectPath):
        yield
        return
    with open(out / LOCK_NAME, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "is being built by another process", path=out, cure="wait for it or choose another --out"
            ) from error
        yield


def _sweep(out: Location) -> None:
    """Remove temporary files that a killed build left behind."""
    for path in [*out.glob(".*.tmp"), *out.glob(f"{FAILED_FOLDER}/.*.tmp")]:
        path.unlink(missing_ok=True)


def _clear(out: Location) -> None:
    """Remove a build, and only what a build consists of."""
    for name in (REPORT_NAME, INDEX_NAME, PLAN_NAME):
        (out / name).unlink(missing_ok=True)
    for pattern in ("shard-*.json", "shard-*.tar"):
        for path in out.glob(pattern):
            path.unlink()
    remove_folder(out / FAILED_FOLDER)
    os.sync()
