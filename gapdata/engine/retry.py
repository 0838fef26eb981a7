"""``--retry-failed``: build the shards again that quarantined something, also where their sources were repaired.

A repaired source is a changed source, and a build refuses those. It is safe to build from one where nothing is kept
that was built from the old source: in quarantined scenes, because their shard is rebuilt as a whole, and in shards
without a commit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from gapdata.engine.plan import Plan
from gapdata.errors import ShardError
from gapdata.files.storage import Location
from gapdata.shards.index import read_commit


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """What is built again."""

    shards: tuple[str, ...]  # to build again
    scenes: tuple[str, ...]  # those in which something was quarantined
    changed: tuple[str, ...]  # scenes that have changed sources

    def __str__(self) -> str:
        """Return it as a line for the user."""
        if not self.shards:
            return "nothing was quarantined: nothing to retry"
        scenes = ", ".join(f"{name} (changed since)" if name in self.changed else name for name in self.scenes)
        return f"building {', '.join(self.shards)} again for {scenes}"


def plan_retry(existing: Plan, wanted: Plan, build: Location) -> tuple[Plan, Retry]:
    """Find what can be built again in an existing build.

    Returns:
        The existing plan, in which every scene that can change safely has the entry of the wanted plan; and what is
        built again. Everything else of the plan is unchanged, so that a comparison with the wanted one still names all
        other differences.
    """
    new = {scene.scene_id: scene for scene in wanted.scenes}
    shards, retried, changed, failed_scenes = [], [], [], []
    for shard in existing.shards:
        quarantined = _quarantined(build / f"{shard.name}.json")
        free = {scene.scene_id for scene in shard.scenes} if quarantined is None else quarantined
        if quarantined:
            retried.append(shard.name)
            failed_scenes += sorted(quarantined)
        scenes = []
        for scene in shard.scenes:
            other = new.get(scene.scene_id, scene)
            taken = scene.scene_id in free and other.split == scene.split
            changed += [scene.scene_id] if taken and other.digest != scene.digest else []
            scenes.append(other if taken else scene)
        shards.append(replace(shard, scenes=tuple(scenes)))
    retry = Retry(shards=tuple(retried), scenes=tuple(failed_scenes), changed=tuple(changed))
    return replace(existing, shards=tuple(shards)), retry


def _quarantined(commit_path: Location) -> set[str] | None:
    """Return the scenes that quarantined something by their commit record; ``None`` without a record."""
    try:
        commit = read_commit(commit_path)
    except (FileNotFoundError, ShardError):
        return None
    return {scene["scene_id"] for scene in commit["scenes"] if scene["quarantined"]}
