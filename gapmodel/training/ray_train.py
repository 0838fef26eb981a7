"""The training loop on a Ray cluster: one worker of Ray Train for each rank.

Ray starts the ranks and joins them into a process group. When one dies (a lost node, no memory left) all are started
again, at most :data:`MAX_RESTARTS` times, and go on from the run's last checkpoint; what a rank raises on purpose ends
the run at once. All nodes need to see the builds, the starting model and the run's directory at the same paths.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gapdata.errors import GapDataError, UsageError
from gapdata.files.storage import absolute, location
from gapdata.recipes.typed_fields import from_mapping
from gapdata.runtime.counting import counted
from gapdata.runtime.ray_cluster import HeadWatch
from gapdata.runtime.ray_session import RaySession
from gapdata.runtime.terminal import say
from gapdata.shards.reader import ShardReader
from gapmodel.training.distributed import joined
from gapmodel.training.logbook import LOG_FILE
from gapmodel.training.loop import train
from gapmodel.training.outcome import TrainingOutcome, read_outcome
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.replacing import stamp_of
from gapmodel.training.run import TrainingConfig
from gapmodel.training.step import TrainingError

MAX_RESTARTS = 3
SECONDS_BETWEEN_LINES = 30.0
"""Between two lines about a run that other processes make."""


def train_on_ray(
    recipe: TrainingRecipe,
    builds: Mapping[str, str],
    out: Path,
    init: Path | None,
    *,
    ranks: int | None,
    replaces: str | None = None,
) -> TrainingOutcome:
    """Train with one rank on each GPU of the cluster, or with as many as are asked for.

    Args:
        recipe: of the run.
        builds: the places of the builds, by name.
        out: the run's directory.
        init: what to start from.
        ranks: how many; ``None`` takes all GPUs, or one CPU where there is none.
        replaces: the run in ``out`` to start over, by its stamp.

    Raises:
        UsageError: Ray Train is not installed, or the cluster cannot be reached.
        GapDataError: a rank raised it.
    """
    if find_spec("pandas") is None:
        raise UsageError("Ray Train needs pandas, which is not installed", cure="run `pip install 'ray[train]'`")
    settings = {
        "recipe": recipe.to_dict(),
        "builds": {name: str(absolute(location(place))) for name, place in builds.items()},
        "out": str(out.absolute()),
        "init": None if init is None else str(init.absolute()),
        "replaces": replaces,
    }
    with RaySession(ranks, gpus=None) as session:
        import ray

        gpus = int(ray.cluster_resources().get("GPU", 0))
        count = ranks or max(1, gpus)
        say(f"training with {counted(count, 'rank')} {session.description}", error=True)
        watch = HeadWatch(ray.get_runtime_context().gcs_address, lost=lambda: _leave(watch.problem))
        watch.start()
        try:
            with _followed(out, replaces), _notes_of_ray(out) as storage:
                _fit(settings, count, storage, use_gpu=gpus > 0)
        finally:
            # The session ends a Ray of its own, which must not be taken for a lost head.
            watch.stop()
    return read_outcome(out)


@contextmanager
def _notes_of_ray(out: Path) -> Iterator[Path]:
    """Give Ray Train a folder for its own notes, in the run's directory, which all nodes see.

    The notes are removed in the end, and so are folders that were made only for the notes of a run that was refused.
    """
    made = [folder for folder in (out, *out.parents) if not folder.exists()]
    try:
        yield out / "ray"
    finally:
        shutil.rmtree(out / "ray", ignore_errors=True)
        with suppress(OSError):  # a folder that is not empty stays, and those around it
            for folder in made:
                folder.rmdir()


def _fit(settings: dict[str, Any], count: int, storage: Path, *, use_gpu: bool) -> None:
    """Start the ranks, and start them again where one dies.

    Raises:
        TrainingError: they died too often, or the actor of Ray Train that watches them died. Ranks that it leaves
            behind may still hold their places, so nothing is started beside them: they end with the session.
    """
    import ray
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchTrainer

    for attempt in range(MAX_RESTARTS + 1):
        trainer = TorchTrainer(
            rank_loop,
            train_loop_config=settings,
            scaling_config=ScalingConfig(num_workers=count, use_gpu=use_gpu),
            # A new name each time: Ray would continue an earlier run of the same name.
            run_config=RunConfig(
                name=f"train-{secrets.token_hex(4)}",
                storage_path=str(storage.absolute()),
                failure_config=FailureConfig(max_failures=0),
            ),
        )
        try:
            trainer.fit()
            break
        except (TrainingFailedError, ray.exceptions.RayError) as error:
            reason = _why_a_rank_died(error)
            if reason is None or attempt == MAX_RESTARTS:
                last = str(error).strip().partition("\n")[0]
                died = f"its ranks died {counted(attempt + 1, 'time')}; the last reason: {reason}"
                raise TrainingError(
                    f"Ray Train's controller died: {last}" if reason is None else died,
                    path=settings["out"],
                    cure="the same command goes on from the last checkpoint",
                ) from error
            restarts = f"{attempt + 1} of {MAX_RESTARTS}"
            say(f"a rank died ({reason}); going on from the last checkpoint ({restarts})", error=True)


def _why_a_rank_died(error: Exception) -> str | None:
    """Return why a rank died; ``None`` where none did.

    Raises:
        GapDataError: a rank raised it on purpose.
    """
    failures = list(getattr(error, "worker_failures", {}).values())
    meant = next((failure for failure in failures if isinstance(failure, GapDataError)), None)
    if meant is not None:
        raise meant from error
    return str(failures[0]).strip().rpartition("\n")[2] if failures else None


def _leave(problem: str) -> None:
    """End the process at once; Ray, which waits for the head in the main thread, would take half a minute."""
    program = Path(sys.argv[0]).name
    say(f"{program}: {problem}; the same command goes on from the last checkpoint", error=True)
    os._exit(1)


def rank_loop(settings: dict[str, Any]) -> None:
    """Train as one rank; each worker of Ray Train runs this."""
    import ray.train

    config = TrainingConfig(
        recipe=from_mapping(TrainingRecipe, settings["recipe"]),
        builds={name: ShardReader(place) for name, place in settings["builds"].items()},
        out=Path(settings["out"]),
        init=None if settings["init"] is None else Path(settings["init"]),
        replaces=settings["replaces"],
        bar=False,
        report=ray.train.report,
    )
    with joined() as ranks:
        train(config, ranks)


@contextmanager
def _followed(out: Path, replaces: str | None) -> Iterator[None]:
    """Print every half minute how far the run is, by its log, once it has begun."""
    stop = threading.Event()

    def follow() -> None:
        said = -1
        while not stop.wait(SECONDS_BETWEEN_LINES):
            begun = replaces is None or stamp_of(out) != replaces
            line = last_line(out / LOG_FILE) if begun else None
            if line is not None and line["step"] > said:
                said = line["step"]
                shown = {name: line[name] for name in ("loss", "lr", "records_per_second", "mfu") if name in line}
                text = ", ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items())
                say(f"step {said}: {text}", error=True)

    thread = threading.Thread(target=follow, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


def last_line(log: Path, most: int = 65536) -> dict[str, Any] | None:
    """Read the last whole line of a log that is being written, without reading all of it; ``None`` without lines."""
    if not log.is_file():
        return None
    with open(log, "rb") as file:
        file.seek(max(0, log.stat().st_size - most))
        lines = file.read().split(b"\n")[:-1]
    for line in reversed(lines):
        try:
            entry: dict[str, Any] = json.loads(line)
            return entry
        except ValueError:
            continue
    return None
