"""Checkpoints of a run: sharded, atomic, and refused by any other run.

::

    run.json                  what the run is: recipe, builds, starting model; written first
    checkpoints/
      step-000200/            appears whole, by a rename
        state.json            step, the visits consumed of each stream, and the checksums of the other files
        __0_0.distcp ...      a part from each rank: weights that are trained, and the optimizer's moments
        .metadata             what each part holds

A checkpoint can be read by any number of ranks (:mod:`torch.distributed.checkpoint`). It needs neither the schedule
nor the state of random generators: both follow from the step (:func:`seed_step`).
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import shutil
import warnings
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.distributed.checkpoint.api import CheckpointException
from torch.distributed.checkpoint.state_dict_loader import load
from torch.distributed.checkpoint.state_dict_saver import save

from gapdata.errors import ShardError, UsageError
from gapdata.files.atomic import write_atomically
from gapdata.seeding import generator_for
from gapdata.shards.records import Records
from gapdata.tasks.spatial.question_index import question_index
from gapmodel.model_directory import MODEL_DIRECTORY, RUN_FILE
from gapmodel.training.checkpoint_files import INDEX, PARTS, RestrictedReader, digests_of, first_damage
from gapmodel.training.distributed import ALONE, Ranks
from gapmodel.training.learner import Learner
from gapmodel.training.logbook import LOG_FILE
from gapmodel.training.recipe import TrainingRecipe
from gapmodel.training.refused_writes import reason_of, write_error

STATE_FILE = "state.json"
FOLDER = "checkpoints"
TRACES = (FOLDER, LOG_FILE, MODEL_DIRECTORY)
"""What a run's directory holds once it has made a step."""
BESIDE = frozenset({"ray"})
"""What may lie in a run's directory before the run: Ray Train's own notes."""
MOMENTS = ("exp_avg", "exp_avg_sq")
NAMED_DIFFERENCES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a run is."""

    step: int
    consumed: dict[str, int]  # visits of each stream


def identity(recipe: TrainingRecipe, builds: Mapping[str, Records], init: Path | None) -> dict[str, Any]:
    """Return what decides the result of a run, as plain values; ``[run]`` does not, and may change."""
    fields = {name: value for name, value in recipe.to_dict().items() if name != "run"}
    sources = {name or "shards": build_digest(reader) for name, reader in builds.items()}
    files = sorted({stream.data.questions for stream in recipe.streams if stream.data.questions})
    plain: dict[str, Any] = json.loads(
        json.dumps({**fields, "builds": sources, "init": None if init is None else _digest(init)})
    )
    return plain | ({"questions": {name: question_index(Path(name)).sha256 for name in files}} if files else {})


def claim(out: Path, wanted: Mapping[str, Any], traces: Collection[str] = TRACES) -> None:
    """Make ``out`` the directory of this run, unless it is already (:func:`refuse_other_run`)."""
    if not refuse_other_run(out, wanted, traces):
        out.mkdir(parents=True, exist_ok=True)
        write_atomically(out / RUN_FILE, json.dumps(wanted, indent=1).encode())


def refuse_other_run(out: Path, wanted: Mapping[str, Any], traces: Collection[str] = TRACES) -> bool:
    """Return whether ``out`` is the directory of this run already; a run that made no step leaves it free.

    Writes nothing.

    Args:
        out: the directory.
        wanted: what the run is (:func:`identity`).
        traces: what ``out`` holds once a run has made a step.

    Raises:
        UsageError: it holds another run, and the message names the differences, or it holds something else.
    """
    path = out / RUN_FILE
    if not path.exists() and out.is_dir() and (strangers := {entry.name for entry in out.iterdir()} - BESIDE):
        raise UsageError(
            f"does not hold a run, but {min(strangers)}", path=out, cure="train into a new --out directory"
        )
    if not path.exists() or not any((out / name).exists() for name in traces):
        return False
    try:
        existing = json.loads(path.read_bytes())
    except ValueError as error:
        raise UsageError(f"cannot be read: {error}", path=path, cure="train into a new --out directory") from error
    before, after = _flat(existing), _flat(wanted)
    names = [name for name in {**before, **after} if before.get(name) != after.get(name)]
    if not names:
        return True
    changes = [f"{name} was {before.get(name, 'absent')} and is {after.get(name, 'absent')}" for name in names]
    more = f" and {len(changes) - NAMED_DIFFERENCES} more" if len(changes) > NAMED_DIFFERENCES else ""
    raise UsageError(
        f"holds a run of another recipe or other data: {', '.join(changes[:NAMED_DIFFERENCES])}{more}",
        path=out,
        cure="train into a new --out directory, or start over with --overwrite",
    )


def seed_step(seed: int, step: int, ranks: Ranks) -> None:
    """Seed torch's generators for a step, so that an interrupted run goes on with the same numbers."""
    torch.manual_seed(int(generator_for(seed, "step", str(step), str(ranks.rank)).integers(2**62)))


def save_checkpoint(
    out: Path, learner: Learner, optimizer: torch.optim.Optimizer, position: Position, ranks: Ranks, *, keep: int
) -> None:
    """Write a checkpoint whole and remove the oldest beyond ``keep``; all ranks take part."""
    folder = out / FOLDER
    final = folder / f"step-{position.step:06d}"
    temporary = folder / f".{final.name}.tmp"
    if ranks.first:
        folder.mkdir(parents=True, exist_ok=True)
        for leftover in folder.glob(".step-*.tmp"):
            shutil.rmtree(leftover)
    ranks.wait()
    try:
        _quietly(save, _tensors(learner, optimizer), checkpoint_id=temporary)
        digests = _digests_together(temporary, ranks)
        if ranks.first:
            state = {"step": position.step, "consumed": position.consumed, "files": digests}
            write_atomically(temporary / STATE_FILE, json.dumps({**state, "check": _check(state)}).encode())
    except (OSError, CheckpointException) as error:
        # No waiting for the others here: they may have ended with the same error, or wait in a collective for ever.
        problem = write_error("checkpoint", error, folder)
        if ranks.first:
            shutil.rmtree(temporary, ignore_errors=True)
        raise problem from error
    if ranks.first:
        shutil.rmtree(final, ignore_errors=True)
        temporary.rename(final)
        _flush(folder)
        for old in checkpoints(out)[:-keep]:
            shutil.rmtree(old)
    ranks.wait()


def load_checkpoint(path: Path, learner: Learner, optimizer: torch.optim.Optimizer, ranks: Ranks = ALONE) -> Position:
    """Read a checkpoint into a learner and its optimizer, in place; all ranks take part.

    Each rank compares some of the files with their checksums before any of them is used.

    Raises:
        ShardError: the checkpoint is damaged; the message names the file, and the checkpoint to go on from.
    """
    try:
        state = json.loads((path / STATE_FILE).read_bytes())
        position = Position(step=int(state["step"]), consumed={str(k): int(v) for k, v in state["consumed"].items()})
        digests = {str(name): str(value) for name, value in state["files"].items()}
        sound = state.pop("check") == _check(state)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise _damaged(path, f"{STATE_FILE} cannot be read: {error!r}") from error
    if not sound:
        raise _damaged(path, f"{STATE_FILE} is not what was written: its checksum differs")
    mine = sorted(digests)[ranks.rank :: ranks.world_size]
    problem = next((found for found in ranks.gathered(first_damage(path, digests, mine)) if found is not None), None)
    if problem is not None:
        raise _damaged(path, problem)
    reader = RestrictedReader(path, digests)
    try:
        _quietly(load, _tensors(learner, optimizer), storage_reader=reader)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, CheckpointException) as error:
        raise _damaged(path, reason_of(error)) from error
    return position


def _check(state: Mapping[str, Any]) -> str:
    """Return the SHA-256 of the state that goes into ``state.json``, as hexadecimal digits."""
    return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()


def _digests_together(folder: Path, ranks: Ranks) -> dict[str, str]:
    """Return the checksums of all files of a checkpoint; each rank reads what it wrote, the first also the index."""
    mine = [path.name for path in folder.glob(PARTS.replace("*", f"{ranks.rank}_*"))]
    parts = ranks.gathered(digests_of(folder, [*mine, INDEX] if ranks.first else mine))
    return {name: digest for part in parts for name, digest in sorted(part.items())}


def _damaged(path: Path, problem: str) -> ShardError:
    earlier = [other.name for other in checkpoints(path.parent.parent) if other.name < path.name]
    then = f"go on from {earlier[-1]}" if earlier else "start over: there is no earlier one"
    return ShardError(problem, path=path, cure=f"delete this folder and give the same command again to {then}")


def checkpoints(out: Path) -> list[Path]:
    """Return the checkpoints of a run, oldest first."""
    found = [path for path in (out / FOLDER).glob("step-*") if re.fullmatch(r"step-\d{6,}", path.name)]
    return sorted(found, key=lambda path: int(path.name.removeprefix("step-")))


def _tensors(learner: Learner, optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Return trained weights and their optimizer state by name; a state that is not there yet is made."""
    tensors: dict[str, Tensor] = {}
    for name, parameter in learner.named_parameters():
        if not parameter.requires_grad:
            continue
        state = optimizer.state[parameter]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32, device=parameter.device)
            state |= {moment: torch.zeros_like(parameter.detach()) for moment in MOMENTS}
        tensors[f"weights.{name}"] = parameter.detach()
        tensors |= {f"{moment}.{name}": state[moment] for moment in (*MOMENTS, "step")}
    return tensors


def build_digest(reader: Records) -> str:
    """Return the SHA-256 of a build's records, by which a run's ``run.json`` names it."""
    # The place of a build may change, its content may not.
    digest = hashlib.sha256("\n".join(reader.keys).encode())
    digest.update((reader.fingerprint or "").encode())
    return digest.hexdigest()


def _digest(model: Path) -> str:
    """Return the SHA-256 of a model directory's files."""
    digest = hashlib.sha256()
    for path in sorted(path for path in model.iterdir() if path.is_file()):
        digest.update(f"{path.name}\0".encode())
        with open(path, "rb") as file:
            digest.update(hashlib.file_digest(file, "sha256").digest())
    return digest.hexdigest()


def _flush(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _quietly(work: Any, *arguments: Any, **options: Any) -> None:
    # One process saves on purpose; torch would warn that nothing is distributed.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        work(*arguments, **options)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    return dict(_items(values, prefix))


def _items(values: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _items(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", value
