"""Build a data set: from its recipe to the report, for the command line and for Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from gapdata.annotations.annotation_file import AnnotationFile
from gapdata.engine.advice import advice, split_report, unaligned
from gapdata.engine.begin_build import plan_beginning
from gapdata.engine.driver import run_build
from gapdata.engine.estimate import missing_inputs, plan_facts
from gapdata.engine.executors.choose import make_executor
from gapdata.engine.gathering import gather_annotations
from gapdata.engine.recipe import Recipe
from gapdata.engine.request import BuildRequest, choose_scenes
from gapdata.files.storage import Location, absolute
from gapdata.runtime.stopping import StopSignals
from gapdata.sources.base import Dataset
from gapdata.sources.terms import own_terms


def build_dataset(
    *,
    dataset: Dataset,
    out: Location,
    recipe: Recipe,
    annotations: Sequence[AnnotationFile | Location] = (),
    split: str | None = None,
    scenes: Sequence[str] = (),
    limit: int | None = None,
    executor: str = "ray",
    workers: int | None = None,
    deadline: float | None = None,
    overwrite: bool = False,
    retry_failed: bool = False,
    dry_run: bool = False,
    announce: Callable[[str], None] = lambda line: None,
) -> dict[str, Any]:
    """Build what is missing of a data set's shards and return the report.

    Args:
        dataset: the scans, from :func:`gapdata.sources.registry.open_dataset`.
        out: where the build goes.
        recipe: what is made of the scans.
        annotations: annotation files about the scenes.
        split: build only scenes of this split.
        scenes: build only these scenes.
        limit: build at most this many of them, the first ones.
        executor: where shards are built, one of :data:`gapdata.engine.executors.choose.EXECUTORS`.
        workers: shards built at once; by default one for each core.
        deadline: seconds that one attempt at a shard may take; by default it depends on the shard's frames.
        overwrite: remove the build in ``out`` first.
        retry_failed: build shards again that quarantined something.
        dry_run: return the plan's figures (:func:`gapdata.engine.estimate.plan_facts`) instead and write nothing.
        announce: called with each line of advice and of progress.

    Raises:
        UsageError: the request cannot be met, or ``out`` holds something else.
        FileError: an annotation file is damaged or of no known kind.
        StoreError: sources or output are out of reach; the shards that are done stay.
        Interrupted, Terminated: the build was stopped; the shards that are done stay.
        OSError: the output cannot be written.
    """
    chosen_executor = make_executor(executor, workers)
    gathered = gather_annotations(dataset, recipe, annotations)
    chosen = choose_scenes(dataset, split=split, scenes=scenes, limit=limit, splits=gathered.splits)
    for line in (*gathered.lines, *advice(dataset, recipe, chosen, gathered)):
        announce(line)
    request = BuildRequest(
        dataset=dataset,
        out=absolute(out),
        recipe=recipe,
        scene_ids=chosen,
        annotations=gathered.scenes,
        annotation_report={**gathered.report, **split_report(dataset, chosen)},
        own_terms=own_terms(dataset.root),
        overwrite=overwrite,
        retry_failed=retry_failed,
        deadline=deadline,
    )
    if dry_run:
        plan = plan_beginning(request).plan
        return plan_facts(plan, missing_inputs(dataset, chosen), unaligned(plan.scenes, gathered.scenes))
    with StopSignals() as stop:
        return run_build(request, chosen_executor, stop, announce)
