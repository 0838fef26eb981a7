"""Load other people's weight files into our modules and account for every tensor.

=====================  ============================================================================================
Qwen3-VL 2B, 4B, 8B    the stock names, which are also ours: everything but the geometry encoder and the fusion
VGGT-1B                ``aggregator.`` and our names; its camera, point, depth and track heads are ignored and counted
Depth Anything 3       ``model.backbone.pretrained.`` and our names; its depth and ray head and its camera encoder and
                       decoder are ignored and counted
GAP-MLLM               the authors' names, :data:`gapmodel.gap_mllm.GAP_MLLM_NAMES`. They register the geometry modules
                       twice, so each of their tensors may come under two names
=====================  ============================================================================================

Files are safetensors or torch archives (read without executing them), whole or in shards with an index. A file that
does not fit is refused with all that is missing, unexpected or of another shape; nothing is copied then.
"""

from __future__ import annotations

import json
import pickle
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from transformers.modeling_utils import load_state_dict

from gapdata.errors import UsageError
from gapdata.runtime.counting import few

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
FILES = ("model.safetensors", "model.pt", "pytorch_model.bin")
"""A directory is searched for these, indexes first."""
VGGT_HEADS = r"(?:camera|point|depth|track)_head"
DEPTH_ANYTHING_HEADS = r"model\.(?:head|cam_enc|cam_dec)"
GEOMETRY_NAMES = [(r"^(?:aggregator|model\.backbone\.pretrained|model\.geometry)\.", "")]
"""What stands before a geometry encoder's names: in VGGT's file, in Depth Anything 3's, in checkpoints of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadReport:
    """An account of every tensor of a file and of the module."""

    path: str
    loaded: int  # tensors of the module, each counted once
    repeated: int  # tensors that come again under a second name, with equal values
    ignored: dict[str, int]  # tensors that are not wanted, by their module in the file
    missing: tuple[str, ...]
    unexpected: tuple[str, ...]
    unfitting: tuple[str, ...]  # names and reasons: another shape, or unequal values under two names

    @property
    def problems(self) -> str:
        """All that does not fit, in one line; empty if everything fits."""
        parts = {"missing": self.missing, "unexpected": self.unexpected, "unfitting": self.unfitting}
        return "; ".join(f"{len(names)} {what} ({few(names, 8)})" for what, names in parts.items() if names)

    def __str__(self) -> str:
        """Return one line for a log."""
        again = [f"{self.repeated} under a second name"] if self.repeated else []
        ignored = [f"{count} of {module} ignored" for module, count in self.ignored.items()]
        done = ", ".join([f"{self.path}: {self.loaded} tensors loaded", *again, *ignored])
        return f"{done}; {self.problems}" if self.problems else done


def load_geometry(encoder: nn.Module, path: str | Path, *, strict: bool = True) -> LoadReport:
    """Read a geometry encoder's weights: its public file, one of our checkpoints, or the bare names.

    Args:
        encoder: one of :data:`gapmodel.geometry.ENCODERS`.
        path: ``model.safetensors`` or ``model.pt``, or the directory that holds it.
        strict: refuse a file that does not fit exactly; otherwise load what fits and report the rest.

    Raises:
        UsageError: the file cannot be read or, if strict, does not fit; nothing has been loaded then.
    """
    ignored = rf"{VGGT_HEADS}|{DEPTH_ANYTHING_HEADS}|model\.(?:visual|language_model|fusion)|lm_head"
    return load_weights(encoder, path, GEOMETRY_NAMES, ignored=ignored, strict=strict)


def load_weights(
    module: nn.Module,
    path: str | Path,
    names: Sequence[tuple[str, str]] = (),
    *,
    ignored: str = "",
    strict: bool = True,
) -> LoadReport:
    """Copy the tensors of a file, of shards or of a directory into a module, in its own precision and on its device.

    Args:
        module: what they belong to; a tensor that it has under several names (a tied head) counts once.
        path: a file, an index of shards, or a directory with one of either.
        names: patterns and replacements that turn the file's names into the module's, one after another.
        ignored: pattern of the modules in the file that are ignored.
        strict: refuse a file that does not fit exactly.

    Raises:
        UsageError: the file cannot be read or, if strict, does not fit; nothing has been copied then.
    """
    report, found = _compared(module, Path(path), names, ignored)
    if strict and report.problems:
        cure = "configure the model as the file was made, or load what fits with strict=False"
        raise UsageError(f"does not fit {type(module).__name__}: {report.problems}", path=path, cure=cure)
    state = module.state_dict(keep_vars=True)
    with torch.no_grad():
        for name, tensor in found.items():
            state[name].copy_(tensor)
    return report


def _compared(
    module: nn.Module, path: Path, names: Sequence[tuple[str, str]], ignored: str
) -> tuple[LoadReport, dict[str, Tensor]]:
    """Compare the tensors of ``path`` with a module's; return the account, and those that fit by the module's names."""
    state = module.state_dict(keep_vars=True)
    first = {id(tensor): name for name, tensor in reversed(state.items())}
    found: dict[str, tuple[str, Tensor]] = {}
    missing = {first[id(tensor)]: None for tensor in state.values()}
    left_aside: Counter[str] = Counter()
    repeated, unexpected, unfitting = 0, [], []
    for name, tensor in _tensors(path):
        if ignored and (head := re.match(rf"({ignored})\.", name)):
            left_aside[head[1]] += 1
            continue
        own = name
        for pattern, replacement in names:
            own = re.sub(pattern, replacement, own)
        if own not in state:
            unexpected.append(name)
            continue
        own = first[id(state[own])]
        missing.pop(own, None)
        if tensor.shape != state[own].shape:
            unfitting.append(f"{name} is {list(tensor.shape)}, not {list(state[own].shape)}")
        elif own not in found:
            found[own] = name, tensor
        elif torch.equal(found[own][1], tensor):
            repeated += 1
        else:
            unfitting.append(f"{name} differs from {found[own][0]}, the same tensor")
    report = LoadReport(
        path=str(path),
        loaded=len(found),
        repeated=repeated,
        ignored=dict(sorted(left_aside.items())),
        missing=tuple(missing),
        unexpected=tuple(unexpected),
        unfitting=tuple(unfitting),
    )
    return report, {name: tensor for name, (_, tensor) in found.items()}


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    """Yield the tensors of all files of ``path``, by name; they are mapped into memory and read when copied."""
    if path.is_dir():
        inside = [path / name for name in (*INDEXES, *FILES) if (path / name).is_file()]
        if not inside:
            raise UsageError("has no weights", path=path, cure=f"it should have one of {', '.join((*INDEXES, *FILES))}")
        path = inside[0]
    for file in _shards(path) if path.suffix == ".json" else [path]:
        if not file.is_file():
            raise UsageError("does not exist", path=file, cure="name the weights, or the directory that holds them")
        yield from _state(file).items()


def _shards(index: Path) -> list[Path]:
    """Return the files of an index, each once; an index that points to another folder is refused."""
    places = read_json(index).get("weight_map")
    if not isinstance(places, dict) or not all(isinstance(name, str) for name in places.values()):
        raise UsageError("has no weight_map from tensors to files", path=index, cure="get a sound copy")
    for name in set(places.values()):
        if not re.fullmatch(r"\w[\w.-]*", name):
            raise UsageError(f"points to {name!r}, which is not beside it", path=index, cure="get a sound copy")
    return [index.parent / name for name in sorted(set(places.values()))]


def _state(file: Path) -> dict[str, Tensor]:
    try:
        state = load_state_dict(file)
    except (SafetensorError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UsageError(f"is not a whole file of tensors: {reason}", path=file, cure="get a sound copy") from error
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UsageError("holds something other than tensors by name", path=file, cure="name a file of weights")
    return state


def read_json(path: Path) -> dict[str, Any]:
    """Read the JSON object in a file.

    Raises:
        UsageError: it cannot be read, or holds something else.
    """
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"cannot be read: {error}", path=path, cure="get a sound copy") from error
    if not isinstance(fields, dict):
        raise UsageError("does not hold a JSON object", path=path, cure="get a sound copy")
    return fields
