"""Check the files that summarise a build: its plan, and index, splits and report, which follow from commit records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from gapdata.audit.commit_checks import MALFORMED
from gapdata.audit.defects import Defect
from gapdata.engine.plan import Plan
from gapdata.engine.report import REPORT_NAME, compile_report, read_report
from gapdata.errors import GapDataError
from gapdata.files.storage import Location
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.shards.index import INDEX_NAME, index_rows, read_index
from gapdata.shards.splits import SPLITS_NAME, read_splits, tars_by_split


def check_plan(build: Location, plan: Plan) -> Iterator[Defect]:
    """Yield what is wrong with the plan, and the shards that do not belong to it."""
    stated = json.loads((build / PLAN_NAME).read_bytes()).get("fingerprint")
    if stated != plan.fingerprint:
        yield Defect(file=PLAN_NAME, problem="its fingerprint does not follow from its content: it was edited")
    known = {f"{shard.name}{suffix}" for shard in plan.shards for suffix in (".json", ".tar")}
    for name in sorted({path.name for path in build.glob("shard-*")} - known):
        yield Defect(file=name, problem="does not belong to the plan")


def check_summaries(build: Location, plan: Plan, commits: Sequence[dict[str, Any]]) -> Iterator[Defect]:
    """Yield where index, splits and report differ from what the commit records give, if all of these can be used."""
    if len(commits) != len(plan.shards):
        return
    yield from _check_index(build, commits)
    yield from _check_splits(build, commits)
    yield from _check_report(build, plan, commits)


def _check_index(build: Location, commits: Sequence[dict[str, Any]]) -> Iterator[Defect]:
    try:
        stored, expected = read_index(build).to_pylist(), index_rows(commits)
        if [row["key"] for row in stored] != [row["key"] for row in expected]:
            yield Defect(file=INDEX_NAME, problem="does not list the committed records in their order")
            return
        for row, wanted in zip(stored, expected, strict=True):
            wrong = [name for name in wanted if row[name] != wanted[name]]
            if wrong:
                problem = f"disagrees with the commit record about {', '.join(wrong)}"
                yield Defect(file=INDEX_NAME, record=wanted["key"], problem=problem)
    except GapDataError as error:
        yield Defect(file=INDEX_NAME, problem=error.problem)
    except MALFORMED as error:
        yield Defect(file=INDEX_NAME, problem=f"cannot be read: {type(error).__name__} {error}")


def _check_splits(build: Location, commits: Sequence[dict[str, Any]]) -> Iterator[Defect]:
    expected = tars_by_split(commits)
    try:
        stored = read_splits(build)
    except GapDataError as error:
        yield Defect(file=SPLITS_NAME, problem=error.problem)
        return
    if stored is None:
        yield Defect(file=SPLITS_NAME, problem="is missing: run build-shards again")
        return
    wrong = [split for split in sorted({*stored, *expected}) if stored.get(split) != expected.get(split)]
    if wrong:
        problem = f"disagrees with the commit records about the tars of {', '.join(wrong)}"
        yield Defect(file=SPLITS_NAME, problem=problem)


def _check_report(build: Location, plan: Plan, commits: Sequence[dict[str, Any]]) -> Iterator[Defect]:
    try:
        report, wanted = read_report(build), {"fingerprint": plan.fingerprint, **compile_report(commits)}
    except GapDataError as error:
        yield Defect(file=REPORT_NAME, problem=error.problem)
        return
    wrong = [name for name in wanted if report.get(name) != wanted[name]]
    if wrong:
        yield Defect(file=REPORT_NAME, problem=f"disagrees with the commit records about {', '.join(wrong)}")
