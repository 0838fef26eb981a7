"""Tell which shards of a plan are committed: their commit records are there, made for this very plan."""

from __future__ import annotations

from typing import Any

from gapdata.engine.plan import Plan, ShardPlan, shard_fingerprint
from gapdata.engine.report import can_be_compiled
from gapdata.errors import ShardError
from gapdata.files.storage import Location
from gapdata.shards.index import read_commit


def is_committed(out: Location, plan: Plan, shard: ShardPlan) -> bool:
    """Return whether the shard's commit record is there, made for this plan, with a tar of the size that it states."""
    path = out / f"{shard.name}.json"
    if not path.is_file():
        return False
    try:
        commit = read_commit(path)
    except ShardError:
        return False
    if not _is_of(commit, plan, shard) or not can_be_compiled([commit]):
        return False
    tar = out / f"{shard.name}.tar"
    return not commit["records"] or (tar.is_file() and tar.stat().st_size == commit["tar_bytes"])


def missing_shards(out: Location, plan: Plan) -> list[ShardPlan]:
    """Return the shards that are not committed, in the order of the plan."""
    return [shard for shard in plan.shards if not is_committed(out, plan, shard)]


def read_own_commit(out: Location, plan: Plan, shard: ShardPlan) -> dict[str, Any]:
    """Read the commit record of a shard that was just built.

    Raises:
        ShardError: a worker that an earlier build left behind has replaced it in the meantime.
    """
    path = out / f"{shard.name}.json"
    commit = read_commit(path)
    if not _is_of(commit, plan, shard):
        raise ShardError(
            "was replaced by a worker that an earlier build left behind", path=path, cure="run the same command again"
        )
    return commit


def _is_of(commit: dict[str, Any], plan: Plan, shard: ShardPlan) -> bool:
    return bool(commit.get("fingerprint") == shard_fingerprint(plan.source, plan.recipe, shard))
