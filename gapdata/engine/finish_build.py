"""Finish a build: index, splits, report and checksums from the commit records of all its shards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gapdata.engine.commits import read_own_commit
from gapdata.engine.outcome import SceneOutcome
from gapdata.engine.plan import Plan
from gapdata.engine.report import compile_report, write_report
from gapdata.engine.supervision import ShardResult
from gapdata.files.storage import Location
from gapdata.shards.checksums import write_checksums
from gapdata.shards.index import write_index
from gapdata.shards.splits import write_splits


def finish_build(
    out: Location,
    plan: Plan,
    given_up: Sequence[ShardResult],
    annotations: Mapping[str, Any],
    terms: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """Write what is compiled from commit records, and return the report.

    Args:
        out: the build.
        plan: its plan.
        given_up: shards that could not be built. Their scenes appear in the report as quarantined, and they stay
            without a commit record, so that the same command tries them again.
        annotations: for the report, what became of the annotation files.
        terms: likewise, the terms of use of its scans (:func:`gapdata.sources.terms.terms_table`).
    """
    without = {result.task.shard.name: _record_given_up(out, result) for result in given_up}
    commits = [without.get(shard.name) or read_own_commit(out, plan, shard) for shard in plan.shards]
    told = {"annotations": dict(annotations), "terms": [dict(row) for row in terms]}
    report = {"fingerprint": plan.fingerprint, **compile_report(commits), **told}
    write_index(out, commits)
    write_splits(out, commits)
    write_report(out, report)
    write_checksums(out)
    return report


def _record_given_up(out: Location, result: ShardResult) -> dict[str, Any]:
    """Write ``failed/<scene>.json`` for each scene of a shard that was given up; return a commit record of nothing."""
    shard, outcomes = result.task.shard, []
    for scene in shard.scenes:
        outcome = SceneOutcome.of(scene)
        outcome.quarantined.append(
            {
                "scene_id": scene.scene_id,
                "key": None,
                "frame": None,
                "path": None,
                "problem": f"{shard.name}: {result.problem}",
                "cure": result.cure or "the same command tries it again",
                "traceback": result.trace,
            }
        )
        outcome.write_failures(out)
        outcomes.append(outcome.to_fields())
    return {"shard": shard.name, "split": shard.split, "tar_bytes": 0, "sha256": "", "scenes": outcomes, "records": []}
