"""Work that goes wrong in real ways, for executors to survive, and a small dataset to build.

The functions stand in for ``build_shard`` and run in worker processes, so this module stays light to import.
"""

from __future__ import annotations

import errno
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from gapdata.engine.build_shard import ShardTask, build_shard
from gapdata.engine.recipe import read_recipe
from gapdata.engine.request import BuildRequest, choose_scenes
from gapdata.shards.index import read_commit
from gapdata.sources.scannet import ScanNetDataset
from tests.support.builds import SETTINGS, contents, overrides

__all__ = ["contents"]

SCENES = 4
VICTIM = "shard-000001"
Frames = Callable[[int], None]


def request_for(dataset: Path, out: Path, deadline: float | None = None) -> BuildRequest:
    opened = ScanNetDataset.open(dataset)
    recipe = read_recipe(None, SETTINGS)
    return BuildRequest(
        dataset=opened, out=out, recipe=recipe, scene_ids=choose_scenes(opened), overwrite=False, deadline=deadline
    )


def command(dataset: Path, out: Path, *arguments: str) -> list[str]:
    build = ["build-shards", "--scannet", str(dataset), "--out", str(out), *overrides()]
    return [sys.executable, "-m", "gapdata", *build, *arguments]


def lacking_victim(shards: Path, out: Path) -> Path:
    """A copy of a build in which the victim's shard is missing, and beside it the whole build as ``saved``."""
    shutil.copytree(shards, out)
    shutil.copytree(shards, out.parent / "saved")
    (out / f"{VICTIM}.json").unlink()
    (out / f"{VICTIM}.tar").unlink()
    return out


def commits(out: Path) -> int:
    return len(list(out.glob("shard-*.json")))


def descendants(pid: int) -> list[int]:
    """All processes below one, by ``/proc``."""
    found = []
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in map(int, path.read_text().split()):
            found += [child, *descendants(child)]
    return found


def wait_until(condition: Callable[..., object], seconds: float = 120.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the condition was never met"
        time.sleep(0.02)


def _folder(task: ShardTask) -> Path:
    """The build's directory, which is never a store's here."""
    assert isinstance(task.out, Path)
    return task.out


def _attempts(task: ShardTask) -> int:
    """How often the victim has been attempted, this time included."""
    with open(_folder(task).parent / "attempts", "ab") as file:
        file.write(b".")
        return file.tell()


def _restore(task: ShardTask) -> dict[str, Any]:
    for suffix in ("tar", "json"):
        name = f"{task.shard.name}.{suffix}"
        shutil.copy(_folder(task).parent / "saved" / name, _folder(task) / name)
    return read_commit(task.out / f"{task.shard.name}.json")


def dies_once(task: ShardTask, progress: Frames) -> dict[str, Any]:
    if task.shard.name == VICTIM and _attempts(task) == 1:
        progress(1)
        os.kill(os.getpid(), signal.SIGKILL)
    return build_shard(task, progress)


def always_dies(task: ShardTask, progress: Frames) -> dict[str, Any]:
    if task.shard.name == VICTIM:
        _attempts(task)
        (_folder(task) / f".{VICTIM}.tar.half.tmp").write_bytes(b"half a shard")
        os.kill(os.getpid(), signal.SIGKILL)
    return build_shard(task, progress)


def hangs_once(task: ShardTask, progress: Frames) -> dict[str, Any]:
    if _attempts(task) == 1:
        time.sleep(1000)
    return _restore(task)


def always_hangs(task: ShardTask, progress: Frames) -> dict[str, Any]:
    _attempts(task)
    time.sleep(1000)
    return {}


def raises(task: ShardTask, progress: Frames) -> dict[str, Any]:
    if task.shard.name == VICTIM:
        _attempts(task)
        raise LookupError("nobody foresaw this")
    return build_shard(task, progress)


def runs_out_of_memory_once(task: ShardTask, progress: Frames) -> dict[str, Any]:
    if _attempts(task) == 1:
        raise MemoryError
    return _restore(task)


def finds_the_disk_full(task: ShardTask, progress: Frames) -> dict[str, Any]:
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(task.out / f"{task.shard.name}.tar"))


def hangs_on_the_doomed_node(task: ShardTask, progress: Frames) -> dict[str, Any]:
    """On the node that ``doomed`` names: say so and never return."""
    import ray

    if ray.get_runtime_context().get_node_id() == (task.out.parent / "doomed").read_text():
        (_folder(task).parent / "caught").write_text(task.shard.name)
        time.sleep(1000)
    return build_shard(task, progress)
