"""``gapdata verify``: check that a build is whole and sound, first its small files, then every shard in parallel.

The small files must agree: the plan names what was wanted (:mod:`gapdata.audit.summary_checks`), the commit
records say what became of it (:mod:`gapdata.audit.commit_checks`), index and report are compiled from them. Then each
tar must be what its commit record says (:mod:`gapdata.audit.shard_checks`), and each record must agree with itself
(:mod:`gapdata.audit.record_checks`).
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any

from gapdata.audit.commit_checks import read_commits
from gapdata.audit.defects import Defect
from gapdata.audit.shard_checks import ShardCheck, check_shard
from gapdata.audit.summary_checks import check_plan, check_summaries
from gapdata.engine.plan import read_plan
from gapdata.engine.report import compile_report
from gapdata.engine.report_text import suspicions, unaligned_text
from gapdata.errors import UsageError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted
from gapdata.shards.checksums import checksum_problems
from gapdata.shards.fingerprint import PLAN_NAME


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was checked, and what is wrong."""

    shards: int
    records: int
    sampled: bool
    defects: tuple[Defect, ...]
    notes: tuple[str, ...] = ()
    """What the build lacks although it is sound."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain values."""
        return {**asdict(self), "defects": [asdict(defect) for defect in self.defects]}


def verify_build(
    build: Location,
    *,
    sample: int | None = None,
    workers: int = 1,
    progress: Callable[[int], None] = lambda records: None,
    announce: Callable[[int], None] = lambda records: None,
) -> Verdict:
    """Check a build.

    Args:
        build: its directory.
        sample: read at most this many records, evenly spread, and skip checksums; ``None`` reads everything.
        workers: processes; 1 checks in this one.
        progress: called with the number of records checked.
        announce: called once with the number of all records to check.

    Raises:
        UsageError: the directory does not hold a build.
    """
    if not (build / PLAN_NAME).is_file():
        raise UsageError("holds no build (no plan.json)", path=build, cure="give the directory of a build")
    try:
        plan = read_plan(build)
    except UsageError as error:
        return Verdict(shards=0, records=0, sampled=False, defects=(Defect(file=PLAN_NAME, problem=error.problem),))
    commits, defects = read_commits(build, plan)
    defects += [*check_plan(build, plan), *check_summaries(build, plan, commits)]
    told = {defect.file for defect in defects}
    defects += [Defect(file=file, problem=text) for file, text in checksum_problems(build) if file not in told]
    keys = [entry["key"] for commit in commits for entry in commit["records"]]
    chosen = _sampled(keys, sample)
    announce(len(keys) if chosen is None else len(chosen))
    checks = [ShardCheck(build=build, recipe=plan.recipe, commit=commit, keys=chosen) for commit in commits]
    for found in _run(checks, workers, progress):
        defects += found
    return Verdict(
        shards=len(commits),
        records=len(keys) if chosen is None else len(chosen),
        sampled=chosen is not None,
        defects=tuple(sorted(defects, key=lambda defect: (defect.file, defect.record or ""))),
        notes=tuple(_notes(commits)),
    )


def format_verdict(build: Location, verdict: Verdict) -> str:
    """Return the verdict as text for a terminal, a line for each defect."""
    checked = counted(verdict.records, "sampled record" if verdict.sampled else "record")
    checked = f"{checked} in {counted(verdict.shards, 'shard')}"
    notes = [f"  note: {text}" for text in verdict.notes]
    if not verdict.defects:
        return "\n".join([f"{build}: {checked} {'is' if verdict.records == 1 else 'are'} sound", *notes])
    lines = [f"{build}: {counted(len(verdict.defects), 'defect')} in {checked}"]
    lines += [f"  {defect}" for defect in verdict.defects] + notes
    damaged = sorted({defect.file.removesuffix(".tar") for defect in verdict.defects if defect.file.endswith(".tar")})
    if damaged:
        lines.append(f"to rebuild: delete {', '.join(f'{name}.json' for name in damaged)} and run build-shards again")
    return "\n".join(lines)


def _sampled(keys: Sequence[str], sample: int | None) -> frozenset[str] | None:
    """Return some keys, evenly spread, or ``None`` where all are to be checked."""
    if sample is None or sample >= len(keys):
        return None
    return frozenset(keys[len(keys) * place // sample] for place in range(sample))


def _notes(commits: Sequence[dict[str, Any]]) -> list[str]:
    """Return what a build lacks although it is sound."""
    report = compile_report(commits)
    notes = suspicions(report)
    if report["scenes_unaligned"]:
        notes.append(unaligned_text(report["scenes_unaligned"], report["descriptions_unaligned"]))
    if commits and not report["records"]:
        notes.append("the build holds no record")
    return notes


def _run(checks: Sequence[ShardCheck], workers: int, progress: Callable[[int], None]) -> Iterator[list[Defect]]:
    if workers == 1 or len(checks) < 2:
        yield from (check_shard(check, progress) for check in checks)
        return
    pending = list(checks)
    # A decoder that crashes on hostile bytes ends its pool; the shards left over are then checked one by one.
    try:
        with _pool(min(workers, len(checks))) as pool:
            futures = {pool.submit(check_shard, check): check for check in checks}
            for future in as_completed(futures):
                yield future.result()
                pending.remove(futures[future])
                progress(_count(futures[future]))
    except BrokenProcessPool:
        for check in pending:
            yield _checked_alone(check)
            progress(_count(check))


def _checked_alone(check: ShardCheck) -> list[Defect]:
    try:
        with _pool(1) as pool:
            return pool.submit(check_shard, check).result()
    except BrokenProcessPool:
        problem = "crashed the process that checked it: its bytes break a decoder"
        return [Defect(file=f"{check.commit['shard']}.tar", problem=problem)]


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _count(check: ShardCheck) -> int:
    return sum(check.keys is None or entry["key"] in check.keys for entry in check.commit["records"])
