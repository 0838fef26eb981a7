"""Check the commit records of a build: each describes its shard of the plan, and says what it did not build and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gapdata.audit.defects import Defect
from gapdata.audit.shard_checks import ENTRY_FIELDS
from gapdata.engine.outcome import FAILED_FOLDER
from gapdata.engine.plan import Plan, ShardPlan, shard_fingerprint
from gapdata.engine.report import compile_report
from gapdata.errors import GapDataError
from gapdata.files.storage import Location
from gapdata.records.keys import around_prefix
from gapdata.shards.index import index_rows, read_commit

MALFORMED = (KeyError, TypeError, ValueError, AttributeError)
"""Errors that come of walking through values of the wrong type."""


def read_commits(build: Location, plan: Plan) -> tuple[list[dict[str, Any]], list[Defect]]:
    """Read the commit records of a plan; return those that can be used, and the defects of all."""
    commits, defects = [], []
    for shard in plan.shards:
        path = build / f"{shard.name}.json"
        if not path.is_file():
            problem = "is missing: the shard is not committed, run build-shards again"
            defects.append(Defect(file=path.name, problem=problem))
            continue
        try:
            commit = read_commit(path)
            problems = _commit_problems(commit, plan, shard, build)
            defects += [Defect(file=path.name, problem=problem) for problem in problems]
            commits.append(commit)
        except GapDataError as error:
            defects.append(Defect(file=path.name, problem=error.problem))
        except MALFORMED as error:
            defects.append(Defect(file=path.name, problem=f"is malformed: {type(error).__name__} {error}"))
    return commits, defects


def _commit_problems(commit: Mapping[str, Any], plan: Plan, shard: ShardPlan, build: Location) -> list[str]:
    """Return what is wrong with a commit record that has every field which later checks use.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it lacks a field, or one is of the wrong type.
    """
    problems = []
    if commit["fingerprint"] != shard_fingerprint(plan.source, plan.recipe, shard):
        problems.append("was made for another plan: run build-shards again")
    if commit["shard"] != shard.name or commit["split"] != shard.split:
        problems.append(
            f"is for {commit['shard']} of split {commit['split']}, the plan has {shard.name} of {shard.split}"
        )
    _walk(commit)
    planned = {scene.scene_id: scene.keys for scene in shard.scenes}
    outcomes = {scene["scene_id"]: scene for scene in commit["scenes"]}
    if outcomes.keys() != planned.keys():
        problems.append(f"is about scenes {sorted(outcomes)}, the plan has {sorted(planned)}")
    built = [entry["key"] for entry in commit["records"]]
    if len(set(built)) != len(built):
        problems.append("commits a record twice")
    for scene_id in sorted(outcomes.keys() & planned.keys()):
        problems += _scene_problems(outcomes[scene_id], set(planned[scene_id]), set(built), build)
    wanted = {key for keys in planned.values() for key in keys}
    around = tuple(around_prefix(scene.scene_id) for scene in shard.scenes if scene.around)
    stray = sorted(key for key in set(built) - wanted if not key.startswith(around))
    return problems + [f"commits {key}, which is not planned" for key in stray]


def _walk(commit: Mapping[str, Any]) -> None:
    """Use every field once as later checks do, so that a malformed record is found here.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: it is malformed.
    """
    compile_report([dict(commit)])
    index_rows([dict(commit)])
    for entry in commit["records"]:
        _ = [entry[name] for name in ENTRY_FIELDS]
        for offset, size in entry["members"].values():
            if type(offset) is not int or type(size) is not int:
                raise TypeError(f"a member's offset and size are {[offset, size]}, not whole numbers")
    if type(commit["tar_bytes"]) is not int:
        raise TypeError(f"tar_bytes is {commit['tar_bytes']!r}, not a whole number")


def _scene_problems(outcome: Mapping[str, Any], planned: set[str], built: set[str], build: Location) -> list[str]:
    scene_id = outcome["scene_id"]
    quarantined = {item["key"] for item in outcome["quarantined"]}
    unexplained = planned - built - quarantined
    problems = []
    if None not in quarantined and len(unexplained) > sum(outcome["dropped_views"].values()):
        problems.append(f"does not say why it lacks {', '.join(sorted(unexplained))}")
    if quarantined and not (build / FAILED_FOLDER / f"{scene_id}.json").is_file():
        problems.append(f"quarantines parts of {scene_id}, but {FAILED_FOLDER}/{scene_id}.json is missing")
    return problems
