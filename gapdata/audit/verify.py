"""``gapdata verify``: is a build whole and sound? Small files first, then every shard, in parallel processes.

The small files must tell one story: the plan names what was wanted, the commit records say what became of it, index and
report are compiled from them. Then each tar must be what its commit record says (:mod:`gapdata.audit.shard_checks`)
and each record must agree with itself (:mod:`gapdata.audit.record_checks`).
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass
from typing import Any

from gapdata.audit.shard_checks import ENTRY_FIELDS, Defect, ShardCheck, check_shard
from gapdata.engine.plan import Plan, ShardPlan, read_plan, shard_fingerprint
from gapdata.engine.report import REPORT_NAME, compile_report, read_report, suspicions, unaligned_text
from gapdata.errors import GapDataError, UsageError
from gapdata.files.storage import Location
from gapdata.records.keys import around_prefix
from gapdata.runtime.counting import counted
from gapdata.shards.checksums import checksum_problems
from gapdata.shards.fingerprint import PLAN_NAME
from gapdata.shards.index import INDEX_NAME, index_rows, read_commit, read_index
from gapdata.shards.splits import SPLITS_NAME, read_splits, tars_by_split

MALFORMED = (KeyError, TypeError, ValueError, AttributeError)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was looked at and what is wrong."""

    shards: int
    records: int
    sampled: bool
    defects: tuple[Defect, ...]
    notes: tuple[str, ...] = ()
    """What is sound and yet less than it could be."""

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
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
        sample: read only so many records, evenly spread, and skip checksums; ``None`` reads everything.
        workers: processes; 1 checks in this one.
        progress: told of checked records.
        announce: told once how many there will be.

    Raises:
        UsageError: the directory holds no build.
    """
    if not (build / PLAN_NAME).is_file():
        raise UsageError("holds no build (no plan.json)", path=build, cure="give the directory of a build")
    try:
        plan = read_plan(build)
    except UsageError as error:
        return Verdict(shards=0, records=0, sampled=False, defects=(_defect(PLAN_NAME, error.problem),))
    commits, defects = _read_commits(build, plan)
    defects += [*_check_plan(build, plan), *_check_compiled(build, plan, commits)]
    told = {defect.file for defect in defects}
    defects += [_defect(file, text) for file, text in checksum_problems(build) if file not in told]
    keys = [entry["key"] for commit in commits for entry in commit["records"]]
    chosen = None
    if sample is not None and sample < len(keys):
        chosen = frozenset(keys[len(keys) * place // sample] for place in range(sample))
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
    """The verdict as text for a terminal: one line per defect."""
    looked = counted(verdict.records, "sampled record" if verdict.sampled else "record")
    looked = f"{looked} in {counted(verdict.shards, 'shard')}"
    notes = [f"  note: {text}" for text in verdict.notes]
    if not verdict.defects:
        return "\n".join([f"{build}: {looked} {'is' if verdict.records == 1 else 'are'} sound", *notes])
    lines = [f"{build}: {counted(len(verdict.defects), 'defect')} in {looked}"]
    lines += [f"  {defect}" for defect in verdict.defects] + notes
    damaged = sorted({defect.file.removesuffix(".tar") for defect in verdict.defects if defect.file.endswith(".tar")})
    if damaged:
        lines.append(f"to rebuild: delete {', '.join(f'{name}.json' for name in damaged)} and run build-shards again")
    return "\n".join(lines)


def _notes(commits: Sequence[dict[str, Any]]) -> list[str]:
    """What a sound build lacks all the same."""
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
    # A decoder that crashes on hostile bytes takes its pool along: what was not done then is checked one by one.
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
        return [_defect(f"{check.commit['shard']}.tar", "checking it crashed the process: its bytes break a decoder")]


def _pool(workers: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _count(check: ShardCheck) -> int:
    return sum(check.keys is None or entry["key"] in check.keys for entry in check.commit["records"])


def _read_commits(build: Location, plan: Plan) -> tuple[list[dict[str, Any]], list[Defect]]:
    """The commit records that can be used, and what is wrong with the others."""
    commits, defects = [], []
    for shard in plan.shards:
        path = build / f"{shard.name}.json"
        if not path.is_file():
            defects.append(_defect(path.name, "is missing: the shard is not committed, run build-shards again"))
            continue
        try:
            commit = read_commit(path)
            defects += [_defect(path.name, problem) for problem in _commit_problems(commit, plan, shard, build)]
            commits.append(commit)
        except GapDataError as error:
            defects.append(_defect(path.name, error.problem))
        except MALFORMED as error:
            defects.append(_defect(path.name, f"is malformed: {type(error).__name__} {error}"))
    return commits, defects


def _commit_problems(commit: Mapping[str, Any], plan: Plan, shard: ShardPlan, build: Location) -> list[str]:
    """Also walks through every field that later checks use, so that a malformed record is found here."""
    problems = []
    if commit["fingerprint"] != shard_fingerprint(plan.source, plan.recipe, shard):
        problems.append("was made for another plan: run build-shards again")
    if commit["shard"] != shard.name or commit["split"] != shard.split:
        problems.append(f"commits {commit['shard']} of split {commit['split']}, planned is {shard.split}")
    compile_report([dict(commit)])
    index_rows([dict(commit)])
    for entry in commit["records"]:
        _ = [entry[name] for name in ENTRY_FIELDS]
        for offset, size in entry["members"].values():
            if type(offset) is not int or type(size) is not int:
                raise TypeError(f"a member's place is {[offset, size]}")
    if type(commit["tar_bytes"]) is not int:
        raise TypeError(f"tar_bytes is {commit['tar_bytes']!r}")
    planned = {scene.scene_id: scene.keys for scene in shard.scenes}
    outcomes = {scene["scene_id"]: scene for scene in commit["scenes"]}
    if outcomes.keys() != planned.keys():
        problems.append(f"is about the scenes {sorted(outcomes)}, planned are {sorted(planned)}")
    built = [entry["key"] for entry in commit["records"]]
    if len(set(built)) != len(built):
        problems.append("commits a record twice")
    for scene_id in sorted(outcomes.keys() & planned.keys()):
        problems += _scene_problems(outcomes[scene_id], set(planned[scene_id]), set(built), build)
    wanted = {key for keys in planned.values() for key in keys}
    around = tuple(around_prefix(scene.scene_id) for scene in shard.scenes if scene.around)
    stray = sorted(key for key in set(built) - wanted if not key.startswith(around))
    return problems + [f"commits {key}, which is not planned" for key in stray]


def _scene_problems(outcome: Mapping[str, Any], planned: set[str], built: set[str], build: Location) -> list[str]:
    lost = planned - built
    quarantined = {item["key"] for item in outcome["quarantined"]}
    unexplained = lost - quarantined
    problems = []
    if None not in quarantined and len(unexplained) > sum(outcome["dropped_views"].values()):
        problems.append(f"lacks {', '.join(sorted(unexplained))} without saying why")
    if quarantined and not (build / "failed" / f"{outcome['scene_id']}.json").is_file():
        problems.append(f"quarantines parts of {outcome['scene_id']}, but failed/{outcome['scene_id']}.json is missing")
    return problems


def _check_plan(build: Location, plan: Plan) -> list[Defect]:
    defects = []
    stated = json.loads((build / PLAN_NAME).read_bytes()).get("fingerprint")
    if stated != plan.fingerprint:
        defects.append(_defect(PLAN_NAME, "its fingerprint does not follow from its content: it was edited"))
    known = {f"{shard.name}{suffix}" for shard in plan.shards for suffix in (".json", ".tar")}
    strays = sorted({path.name for path in build.glob("shard-*")} - set(known))
    return defects + [_defect(name, "does not belong to the plan") for name in strays]


def _check_compiled(build: Location, plan: Plan, commits: Sequence[dict[str, Any]]) -> list[Defect]:
    """Index and report against what the commit records give."""
    if len(commits) != len(plan.shards):
        return []
    defects = []
    try:
        stored, expected = read_index(build).to_pylist(), index_rows(commits)
        if [row["key"] for row in stored] != [row["key"] for row in expected]:
            defects.append(_defect(INDEX_NAME, "does not list the committed records in their order"))
        else:
            for one, other in zip(stored, expected, strict=True):
                wrong = [name for name in other if one[name] != other[name]]
                if wrong:
                    problem = f"disagrees with the commit record about {', '.join(wrong)}"
                    defects.append(Defect(file=INDEX_NAME, record=other["key"], problem=problem))
    except GapDataError as error:
        defects.append(_defect(INDEX_NAME, error.problem))
    except MALFORMED as error:
        defects.append(_defect(INDEX_NAME, f"cannot be read: {type(error).__name__} {error}"))
    defects += _check_splits(build, commits)
    try:
        report, wanted = read_report(build), {"fingerprint": plan.fingerprint, **compile_report(commits)}
        wrong = [name for name in wanted if report.get(name) != wanted[name]]
        if wrong:
            defects.append(_defect(REPORT_NAME, f"disagrees with the commit records about {', '.join(wrong)}"))
    except GapDataError as error:
        defects.append(_defect(REPORT_NAME, error.problem))
    return defects


def _check_splits(build: Location, commits: Sequence[dict[str, Any]]) -> list[Defect]:
    """Which tars hold which split, against what the commit records give."""
    expected = tars_by_split(commits)
    try:
        stored = read_splits(build)
    except GapDataError as error:
        return [_defect(SPLITS_NAME, error.problem)]
    if stored is None:
        return [_defect(SPLITS_NAME, "is missing: run build-shards again")]
    wrong = [split for split in sorted({*stored, *expected}) if stored.get(split) != expected.get(split)]
    problem = f"disagrees with the commit records about the tars of {', '.join(wrong)}"
    return [_defect(SPLITS_NAME, problem)] if wrong else []


def _defect(file: str, problem: str) -> Defect:
    return Defect(file=file, record=None, problem=problem)
