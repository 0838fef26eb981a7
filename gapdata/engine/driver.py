"""Run a whole build: begin it or go on with it, build the missing shards through an executor, finish."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from typing import Any

from gapdata.engine.advice import unaligned
from gapdata.engine.begin_build import plan_beginning, prepare_directory
from gapdata.engine.build_directory import forget_intention, locked, refuse_other_content, swept, taken_back_if_refused
from gapdata.engine.build_shard import ShardTask
from gapdata.engine.commits import missing_shards
from gapdata.engine.executors.attempts import Executor
from gapdata.engine.finish_build import finish_build
from gapdata.engine.plan import Plan
from gapdata.engine.report_text import unaligned_text
from gapdata.engine.request import BuildRequest
from gapdata.engine.scene_annotation_files import write_scene_annotations
from gapdata.engine.supervision import ShardResult, Supervisor, planned_frames
from gapdata.engine.unchanged import HostStamps, comparable_stamps
from gapdata.errors import StoreError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted, few
from gapdata.runtime.progress import Progress
from gapdata.runtime.stopping import HOW_TO_RESUME, StopSignals
from gapdata.sources.terms import terms_table

NAMED_SCENES = 3


def run_build(
    request: BuildRequest,
    executor: Executor,
    stop: StopSignals | None = None,
    announce: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Build what is missing and return the report; a request that is refused leaves everything as it was.

    Args:
        request: what to build.
        executor: where shards are built; entered only if there are any to build.
        stop: the signals by which the user ends the build early.
        announce: called with each line for the user.

    Raises:
        UsageError: see :func:`gapdata.engine.begin_build.plan_beginning`; or another build into the same directory is
            running.
        StoreError: sources or output are out of reach; the shards that are done stay.
        Interrupted, Terminated: the build was stopped; the shards that are done stay.
        OSError: the output cannot be written.
    """
    out = request.out
    refuse_other_content(out, overwrite=request.overwrite)
    with taken_back_if_refused(out), locked(out), swept(out):
        stamps = comparable_stamps(request.dataset, request.scene_ids)
        begun = plan_beginning(request)
        _announce_unaligned(request, begun.plan, announce)
        with ExitStack() as working:
            if begun.replaces_shards or missing_shards(out, begun.plan):
                # Before anything is removed: a cluster that cannot be reached refuses the build, too.
                working.enter_context(executor)
            prepare_directory(request, begun, announce)
            write_scene_annotations(out, begun.plan, request.annotations)
            tasks = _missing_tasks(request, begun.plan, stamps)
            if not tasks:
                announce(f"{out}: already complete, nothing to build")
            given_up = _build_missing(tasks, executor, stop or StopSignals(), request.deadline)
        _refuse_unreached(out, given_up)
        terms = terms_table(((begun.plan.source, scene.source_kind) for scene in begun.plan.scenes), request.own_terms)
        report = finish_build(out, begun.plan, given_up, request.annotation_report, terms)
        forget_intention(out)
        return report


def _announce_unaligned(request: BuildRequest, plan: Plan, announce: Callable[[str], None]) -> None:
    lacking = unaligned(plan.scenes, request.annotations)
    if lacking.scene_ids:
        named = few(lacking.scene_ids, NAMED_SCENES)
        announce(f"note: {unaligned_text(len(lacking.scene_ids), lacking.descriptions)} ({named})")


def _missing_tasks(request: BuildRequest, plan: Plan, stamps: Mapping[str, HostStamps]) -> list[ShardTask]:
    return [
        ShardTask(
            dataset=request.dataset,
            out=request.out,
            recipe=request.recipe,
            shard=shard,
            stamps={scene.scene_id: stamps[scene.scene_id] for scene in shard.scenes},
        )
        for shard in missing_shards(request.out, plan)
    ]


def _build_missing(
    tasks: Sequence[ShardTask], executor: Executor, stop: StopSignals, deadline: float | None
) -> list[ShardResult]:
    """Build shards, the longest first so that the last ones end together, and return those that were given up.

    The executor has been entered if there are tasks.
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


def _refuse_unreached(out: Location, given_up: Sequence[ShardResult]) -> None:
    """Refuse to finish a build while a store does not give the sources of some shards.

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
