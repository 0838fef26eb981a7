"""Runs a whole build: plan, resume or refuse, shards through an executor, index and report."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.annotations.splits import SPLITS
from gapdata.engine.advice import unaligned
from gapdata.engine.build import ShardTask
from gapdata.engine.build_directory import (
    Intention,
    Kind,
    clear,
    forget_intention,
    locked,
    read_intention,
    refuse_foreign,
    refuse_strangers,
    swept,
    taken_back_if_refused,
    write_intention,
)
from gapdata.engine.estimate import expected_bytes
from gapdata.engine.executors.attempts import Executor
from gapdata.engine.outcome import FAILED_FOLDER, SceneOutcome
from gapdata.engine.plan import (
    Plan,
    ShardPlan,
    make_plan,
    read_plan,
    refuse_difference,
    shard_fingerprint,
    write_plan,
)
from gapdata.engine.recipe import Recipe
from gapdata.engine.report import compile_report, counts_up, unaligned_text, write_report
from gapdata.engine.retry import Retry, plan_retry
from gapdata.engine.scene_annotation_files import write_scene_annotations
from gapdata.engine.supervision import ShardResult, Supervisor, planned_frames
from gapdata.engine.unchanged import comparable_stamps
from gapdata.errors import ShardError, StoreError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.files.natural_order import natural_key
from gapdata.files.storage import Location
from gapdata.runtime.choices import did_you_mean, near_names
from gapdata.runtime.counting import counted, few
from gapdata.runtime.progress import Progress
from gapdata.runtime.stopping import HOW_TO_RESUME, StopSignals
from gapdata.shards.checksums import write_checksums
from gapdata.shards.fingerprint import PLAN_NAME, planned_fingerprint
from gapdata.shards.index import read_commit, write_index
from gapdata.shards.splits import write_splits
from gapdata.sources.base import Dataset

NAMED_SCENES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """What the user asked for."""

    dataset: Dataset
    out: Location
    recipe: Recipe
    scene_ids: tuple[str, ...]
    annotations: Mapping[str, SceneAnnotations] = field(default_factory=dict)
    """What other people's files say, by scene."""
    annotation_report: Mapping[str, Any] = field(default_factory=dict)
    """What became of those files, for ``report.json``."""
    overwrite: bool = False
    retry_failed: bool = False
    deadline: float | None = None  # seconds of one attempt at a shard; by its frames if None


def choose_scenes(
    dataset: Dataset,
    *,
    split: str | None = None,
    scenes: Sequence[str] = (),
    limit: int | None = None,
    splits: Mapping[str, str] | None = None,
) -> tuple[str, ...]:
    """Return the scenes of a request, in natural order; ``splits`` says which scenes there are and what for, by default
    the data set.

    Raises:
        UsageError: a named scene does not exist or would not be built, or nothing is left.
    """
    missing = [scene for scene in scenes if scene not in dataset.scene_ids]
    if missing:
        if missing[0] in dataset.passed_over:
            raise UsageError(dataset.passed_over[missing[0]], path=f"{dataset.root}/{missing[0]}")
        shown = near_names(missing[0], dataset.scene_ids) or list(dataset.scene_ids[:3])
        raise UsageError(
            f"has no scene {', '.join(missing)}",
            path=dataset.root,
            cure=f"among its {counted(len(dataset.scene_ids), 'scene')}: {', '.join(shown)}",
        )
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


def _refuse_left_out(
    dataset: Dataset, scenes: Sequence[str], split: str | None, known_splits: Mapping[str, str]
) -> None:
    """Refuse a scene that was asked for by its name and would not be built.

    Raises:
        UsageError: there is one; the rule that leaves it out is named.
    """
    unspoken = [scene for scene in scenes if scene not in known_splits]
    if unspoken:
        raise UsageError(
            f"--scenes names {', '.join(unspoken)}, of which no annotation file speaks: annotations.splits leaves out"
            " such scenes",
            path=dataset.root,
            cure="leave it out of --scenes, name the file that speaks of it with --annotations, or set"
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


def plan_build(request: BuildRequest) -> Plan:
    """The plan of a request; compared with the one in the output directory if a build is there.

    Raises:
        UsageError: the directory holds a build of another recipe or other sources, or something that is no build.
    """
    return _plan_and_retry(request)[0]


def _plan_and_retry(request: BuildRequest) -> tuple[Plan, Retry | None]:
    """The plan, and what is taken up again where that was asked for."""
    plan = make_plan(request.dataset, request.recipe, request.scene_ids, request.annotations)
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
    else:
        refuse_foreign(request.out)
    return plan, retry if request.retry_failed else None


def run_build(
    request: BuildRequest,
    executor: Executor,
    stop: StopSignals | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Build what is missing and return the report. A request that is refused leaves everything as it was.

    Args:
        request: what to build.
        executor: where; entered only if there is something to build.
        stop: how the user ends the build early; by default nothing does.
        announce: told what is taken up again.

    Raises:
        UsageError: see :func:`plan_build`; or another build into the same directory is running.
        StoreError: sources or output are out of reach; the shards that are done stay.
        Interrupted, Terminated: the build was stopped; the shards that are done stay.
        OSError: the output cannot be written.
    """
    refuse_strangers(request.out, overwrite=request.overwrite)
    with taken_back_if_refused(request.out), locked(request.out), swept(request.out):
        stamps = comparable_stamps(request.dataset, request.scene_ids)
        plan, retry = _plan_and_retry(request)
        lacking = unaligned(plan.scenes, request.annotations)
        if lacking.scene_ids:
            named = few(lacking.scene_ids, NAMED_SCENES)
            announce(f"note: {unaligned_text(len(lacking.scene_ids), lacking.descriptions)} ({named})")
        with ExitStack() as working:
            intention = _intended(request, plan, retry)
            replaced = intention is not None and (retry is None or bool(retry.shards))
            if replaced or not all(is_committed(request.out, plan, shard) for shard in plan.shards):
                # Before anything is done away with: that a cluster cannot be reached is a refusal, too.
                working.enter_context(executor)
            _prepare(request, plan, retry, intention, announce)
            write_scene_annotations(request.out, plan, request.annotations)
            tasks = [
                ShardTask(
                    dataset=request.dataset,
                    out=request.out,
                    recipe=request.recipe,
                    shard=shard,
                    stamps={scene.scene_id: stamps[scene.scene_id] for scene in shard.scenes},
                )
                for shard in plan.shards
                if not is_committed(request.out, plan, shard)
            ]
            if not tasks:
                announce(f"{request.out}: already complete, nothing to build")
            given_up = _build_missing(tasks, executor, stop or StopSignals(), request.deadline)
        _refuse_unreached(request.out, given_up)
        report = finalise(request.out, plan, given_up, request.annotation_report)
        forget_intention(request.out)
        return report


def _intended(request: BuildRequest, plan: Plan, retry: Retry | None) -> Intention | None:
    """What the request does away with; ``None`` where that is nothing, or was done before the build was stopped."""
    kind: Kind | None = "overwrite" if request.overwrite else None if retry is None else "retry-failed"
    if kind is None:
        return None
    wanted = Intention(kind=kind, fingerprint=plan.fingerprint, done=True)
    done = read_intention(request.out) == wanted and planned_fingerprint(request.out) == plan.fingerprint
    return None if done else wanted


def _prepare(
    request: BuildRequest, plan: Plan, retry: Retry | None, wanted: Intention | None, announce: Callable[[str], None]
) -> None:
    """Do away with what the request does away with, once, and write the plan."""
    out = request.out
    if wanted is None:
        if request.overwrite or retry is not None:
            announce(f"going on with --{'overwrite' if request.overwrite else 'retry-failed'} where it was stopped")
        elif not (out / PLAN_NAME).exists():
            write_plan(plan, out, expected_bytes(plan.scenes, plan.recipe))
        return
    write_intention(out, replace(wanted, done=False))
    if retry is None:
        clear(out)
    else:
        announce(str(retry))
        # Commits go before the plan changes: whatever happens in between, no shard counts as built from sources
        # that it was not built from.
        for name in retry.shards:
            (out / f"{name}.json").unlink(missing_ok=True)
    write_plan(plan, out, expected_bytes(plan.scenes, plan.recipe))
    write_intention(out, wanted)


def _refuse_unreached(out: Location, given_up: Sequence[ShardResult]) -> None:
    """Refuse to call a build finished, with losses or without, while a store keeps back parts of it.

    Raises:
        StoreError: shards were given up because a store failed.
    """
    unreached = [result for result in given_up if result.store]
    if unreached:
        first = unreached[0]
        problem = (
            f"{counted(len(unreached), 'shard')} could not be built, {first.task.shard.name} because {first.problem}"
        )
        raise StoreError(problem, path=out, cure=HOW_TO_RESUME)


def _build_missing(
    tasks: Sequence[ShardTask], executor: Executor, stop: StopSignals, deadline: float | None
) -> list[ShardResult]:
    """Build the shards, the longest first so that none straggles at the end, and return those that were given up; the
    executor has been entered if there are any.
    """
    if not tasks:
        return []
    tasks = sorted(tasks, key=planned_frames, reverse=True)
    total = sum(planned_frames(task) for task in tasks)
    with Progress(total, "frames", "build-shards") as progress:
        stop.install()
        # People's scripts look for this line, so its words are the same for every number.
        progress.note(f"building {len(tasks)} shards {executor.description}")
        supervisor = Supervisor(executor, tasks, stop, deadline=deadline, progress=progress, note=progress.note)
        with stop.draining():
            return [result for result in supervisor.run() if result.commit is None]


def finalise(
    out: Location, plan: Plan, given_up: Sequence[ShardResult] = (), annotations: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Compile index and report from the commit records of all shards, and from what was given up: its scenes appear
    in the report as quarantined, its shards stay without a commit record.
    """
    lost = {result.task.shard.name: _record_loss(out, result) for result in given_up}
    commits = [lost[shard.name] if shard.name in lost else _own_commit(out, plan, shard) for shard in plan.shards]
    report = {"fingerprint": plan.fingerprint, **compile_report(commits), "annotations": dict(annotations or {})}
    write_index(out, commits)
    write_splits(out, commits)
    write_report(out, report)
    write_checksums(out)
    return report


def _own_commit(out: Location, plan: Plan, shard: ShardPlan) -> dict[str, Any]:
    """The commit record of a shard that was just built.

    Raises:
        ShardError: a worker that an earlier build left behind has replaced it in the meantime.
    """
    path = out / f"{shard.name}.json"
    commit = read_commit(path)
    if commit.get("fingerprint") != shard_fingerprint(plan.source, plan.recipe, shard):
        raise ShardError(
            "was replaced by a worker that an earlier build left behind", path=path, cure="run the same command again"
        )
    return commit


def _record_loss(out: Location, result: ShardResult) -> dict[str, Any]:
    """Write ``failed/<scene>.json`` for the scenes of a shard that was given up; return what its commit record would
    say.
    """
    outcomes = []
    for scene in result.task.shard.scenes:
        outcome = SceneOutcome(
            scene_id=scene.scene_id, split=scene.split, frames=scene.frame_count, lost_tracking=scene.lost_tracking
        )
        outcome.quarantined.append(
            {
                "scene_id": scene.scene_id,
                "key": None,
                "frame": None,
                "path": None,
                "problem": f"{result.task.shard.name}: {result.problem}",
                "cure": result.cure or "the same command tries it again",
            }
        )
        (out / FAILED_FOLDER).mkdir(exist_ok=True)
        failures = [{**item, "traceback": result.trace} for item in outcome.quarantined]
        write_atomically(out / FAILED_FOLDER / f"{scene.scene_id}.json", json.dumps(failures, indent=1).encode())
        outcomes.append(asdict(outcome))
    shard = result.task.shard
    return {
        "shard": shard.name,
        "split": shard.split,
        "tar_bytes": 0,
        "sha256": "",
        "scenes": outcomes,
        "records": [],
    }


def is_committed(out: Location, plan: Plan, shard: ShardPlan) -> bool:
    """Whether the shard's commit record is there, made for this plan, with a tar of the size that it states."""
    path = out / f"{shard.name}.json"
    if not path.is_file():
        return False
    try:
        commit = read_commit(path)
    except ShardError:
        return False
    if commit.get("fingerprint") != shard_fingerprint(plan.source, plan.recipe, shard) or not counts_up([commit]):
        return False
    tar = out / f"{shard.name}.tar"
    return not commit["records"] or (tar.is_file() and tar.stat().st_size == commit["tar_bytes"])
