"""``gapdata status``: how far a build is, from its small files only, so that it can be asked while the build runs."""

from __future__ import annotations

from typing import Any

from gapdata.engine.plan import read_plan
from gapdata.errors import ShardError
from gapdata.files.storage import Location
from gapdata.runtime.counting import counted
from gapdata.shards.index import read_commit
from gapdata.shards.splits import format_tars, tars_by_split

SHOWN = 12


def build_status(build: Location) -> dict[str, Any]:
    """Return how far a build is.

    A commit record appears whole or not at all, so the figures are right even while shards are being written.

    Returns:
        Planned, committed, failed and missing shards and records, and by split the tars that hold records. ``failed``
        shards are committed but quarantined something; ``missing`` ones have no readable commit record yet. ``planned``
        records count views around a frame at their most, because the scene views decide about them.

    Raises:
        UsageError: the directory does not hold a build.
    """
    plan = read_plan(build)
    commits, missing = [], []
    for shard in plan.shards:
        try:
            commits.append(read_commit(build / f"{shard.name}.json"))
        except (FileNotFoundError, ShardError):
            missing.append(shard.name)
    quarantined = {commit["shard"]: sum(len(scene["quarantined"]) for scene in commit["scenes"]) for commit in commits}
    failed = {name: count for name, count in quarantined.items() if count}
    tars = tars_by_split(commits)
    return {
        "shards": {
            "planned": len(plan.shards),
            "committed": len(commits),
            "failed": len(failed),
            "missing": len(missing),
        },
        "records": {
            "planned": sum(scene.most_records for scene in plan.scenes),
            "committed": sum(len(commit["records"]) for commit in commits),
        },
        "splits": {
            split: {"planned": sum(shard.split == split for shard in plan.shards), "tars": tars.get(split, [])}
            for split in sorted({shard.split for shard in plan.shards})
        },
        "bytes": sum(commit["tar_bytes"] for commit in commits),
        "failed": failed,
        "missing": missing,
    }


def format_status(build: Location, status: dict[str, Any]) -> str:
    """Return the status as text for a terminal."""
    shards, records = status["shards"], status["records"]
    lines = [
        f"{build}: {shards['committed']} of {counted(shards['planned'], 'shard')} committed, "
        f"{shards['failed']} of them failed in part, {shards['missing']} missing",
        f"  {records['committed']} of {counted(records['planned'], 'planned record')}, {status['bytes'] / 1e6:.1f} MB",
        *(
            f"  {split}: {format_tars(found['tars'])} of {found['planned']} planned"
            for split, found in status["splits"].items()
        ),
    ]
    failed = [f"{name} ({count} quarantined)" for name, count in status["failed"].items()]
    for title, names, cure in (
        ("failed", failed, "repair the sources and add --retry-failed to the build command"),
        ("missing", status["missing"], "run the build command again, unless it is still running"),
    ):
        if names:
            more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
            lines += [f"  {title}: {', '.join(names[:SHOWN])}{more}", f"    {cure}"]
    return "\n".join(lines)
