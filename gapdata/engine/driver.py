"""Runs a whole build: plan, resume or refuse, shards through an executor, index and report."""

from __future__ import annotations

import fcntl
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gapdata.engine.build import FAILED_FOLDER, ShardTask
from gapdata.engine.estimate import expected_bytes
from gapdata.engine.executors import Executor
from gapdata.engine.plan import PLAN_NAME, Plan, ShardPlan, make_plan, read_plan, refuse_difference, write_plan
from gapdata.engine.progress import Progress
from gapdata.engine.recipe import Recipe
from gapdata.engine.report import REPORT_NAME, compile_report, write_report
from gapdata.engine.retry import Retry, plan_retry
from gapdata.errors import ShardError, UsageError
from gapdata.shards.index import INDEX_NAME, read_commit, write_index
from gapdata.sources.scannet import ScanNetDataset

LOCK_NAME = ".lock"


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the user asked for."""

    dataset: ScanNetDataset
    out: Path
    recipe: Recipe
    scene_ids: tuple[str, ...]
    overwrite: bool = False
    retry_failed: bool = False


def choose_scenes(
    dataset: ScanNetDataset, *, split: str | None = None, scenes: Sequence[str] = (), limit: int | None = None
) -> tuple[str, ...]:
    """The scenes of a request, sorted.

    Raises:
        UsageError: a named scene does not exist, or nothing is left.
    """
    missing = [scene for scene in scenes if scene not in dataset.scene_directories]
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
    return _plan_and_retry(request)[0]


def _plan_and_retry(request: BuildRequest) -> tuple[Plan, Retry | None]:
    """The plan, and what is taken up again where that was asked for."""
    plan = make_plan(request.dataset, request.recipe, request.scene_ids)
    retry = None
    if request.overwrite or not request.out.exists():
        return plan, None
    if (request.out / PLAN_NAME).exists():
        existing = read_plan(request.out)
        repaired, retry = plan_retry(existing, plan, request.out)
        if request.retry_failed:
            refuse_difference(repaired, plan, request.out)
        else:
            refuse_difference(existing, plan, request.out, retriable=repaired.fingerprint == plan.fingerprint)
    elif any(entry.name != LOCK_NAME for entry in request.out.iterdir()):
        raise UsageError("is not empty and holds no build", path=request.out, cure="choose another --out directory")
    return plan, retry if request.retry_failed else None


def run_build(
    request: BuildRequest, executor: Executor, announce: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Build what is missing and return the report; ``announce`` is told what is taken up again.

    Raises:
        UsageError: see :func:`plan_build`; or another build into the same directory is running.
        OSError: the output cannot be written.
    """
    request.out.mkdir(parents=True, exist_ok=True)
    with _locked(request.out):
        plan, retry = _plan_and_retry(request)
        if request.overwrite:
            _clear(request.out)
        _sweep(request.out)
        if retry is not None:
            announce(str(retry))
            # Commits go before the plan changes: whatever happens in between, no shard counts as built from sources
            # that it was not built from.
            for name in retry.shards:
                (request.out / f"{name}.json").unlink()
        if retry is not None or not (request.out / PLAN_NAME).exists():
            write_plan(plan, request.out, expected_bytes(plan.scenes, plan.recipe))
        missing = [shard for shard in plan.shards if not is_committed(request.out, shard)]
        tasks = [
            ShardTask(dataset=request.dataset, out=request.out, recipe=request.recipe, shard=shard) for shard in missing
        ]
        frames = sum(scene.view_frames for shard in missing for scene in shard.scenes)
        with Progress(frames, "frames", "build-shards") as progress:
            for _ in executor.run(tasks, progress):
                pass
        return finalise(request.out, plan)


def finalise(out: Path, plan: Plan) -> dict[str, Any]:
    """Compile index and report from the commit records of all shards."""
    commits = [read_commit(out / f"{shard.name}.json") for shard in plan.shards]
    report = {"fingerprint": plan.fingerprint, **compile_report(commits)}
    write_index(out, commits)
    write_report(out, report)
    return report


def is_committed(out: Path, shard: ShardPlan) -> bool:
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
def _locked(out: Path) -> Iterator[None]:
    """One build at a time in a directory; the lock goes with its process, however that ends."""
    with open(out / LOCK_NAME, "ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise UsageError(
                "is being built by another process", path=out, cure="wait for it or choose another --out"
            ) from error
        yield


def _sweep(out: Path) -> None:
    """Remove temporary files that a killed build left behind."""
    for path in [*out.glob(".*.tmp"), *out.glob(f"{FAILED_FOLDER}/.*.tmp")]:
        path.unlink(missing_ok=True)


def _clear(out: Path) -> None:
    """Remove a build, and only what a build consists of."""
    for name in (REPORT_NAME, INDEX_NAME, PLAN_NAME):
        (out / name).unlink(missing_ok=True)
    for pattern in ("shard-*.json", "shard-*.tar"):
        for path in out.glob(pattern):
            path.unlink()
    shutil.rmtree(out / FAILED_FOLDER, ignore_errors=True)
    os.sync()
