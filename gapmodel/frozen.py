"""A frozen geometry encoder that a checkpoint refers to instead of holding it.

VGGT has as many weights as half of Qwen3-VL-2B and training does not change them. ``save_pretrained(directory,
save_frozen=False)`` leaves them out and writes into ``config.json`` where they came from and their fingerprint;
``from_pretrained`` reads them from there (or from ``geometry_weights=``, where they lie now) and compares.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gapdata.errors import UsageError

PREFIXES = ("", "aggregator.", "model.geometry.")
"""What the encoder's names may carry in a file: nothing, VGGT-1B's prefix, or one of our own checkpoints'."""


class EncoderByReference:
    """Adds the choice to ``save_pretrained`` and ``from_pretrained`` of a model with ``model.geometry``."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any, geometry_weights: str | Path | None = None, **kwargs: Any
    ) -> Any:
        """The stock method; weights that the checkpoint refers to are read from their origin, or ``geometry_weights``.

        Raises:
            UsageError: the frozen geometry encoder is not where the checkpoint says, or is another one.
        """
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)  # type: ignore[misc]
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        config = model.config
        if config.geometry_fingerprint:
            origin = str(geometry_weights or config.geometry_weights)
            load_encoder_weights(model.model.geometry, origin)
            if fingerprint(model.model.geometry) != config.geometry_fingerprint:
                raise UsageError(
                    "these are not the geometry weights that the model was trained with",
                    path=origin,
                    cure=f"pass geometry_weights= with what {config.geometry_weights} was",
                )
            config.geometry_weights, config.geometry_fingerprint = origin, None
            model.model.freeze(["geometry"])
        return loaded

    def save_pretrained(self, save_directory: str | Path, *, save_frozen: bool = True, **kwargs: Any) -> None:
        """The stock method; ``save_frozen=False`` refers to the frozen geometry encoder's origin instead of copying it.

        Raises:
            UsageError: the encoder is trained, or nobody said where its weights came from.
        """
        save = super().save_pretrained  # type: ignore[misc]
        model: Any = self
        if save_frozen:
            return save(str(save_directory), **kwargs)
        if any(parameter.requires_grad for parameter in model.model.geometry.parameters()):
            raise UsageError("the geometry encoder is not frozen", cure="freeze it, or leave save_frozen=True")
        if model.config.geometry_weights is None:
            raise UsageError(
                "the origin of the geometry encoder's weights is not known",
                cure="give from_base geometry_weights=, or leave save_frozen=True",
            )
        kept = {name: value for name, value in model.state_dict().items() if not name.startswith(PREFIXES[-1])}
        model.config.geometry_fingerprint = fingerprint(model.model.geometry)
        try:
            save(str(save_directory), state_dict=kept, **kwargs)
        finally:
            model.config.geometry_fingerprint = None


def fingerprint(module: nn.Module) -> str:
    """SHA-256 of a module's tensors by name, rounded to bfloat16: float32 and bfloat16 copies have the same one."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy())
    return digest.hexdigest()


def load_encoder_weights(encoder: nn.Module, path: str | Path) -> None:
    """Copy the encoder's tensors from a safetensors file, or a directory of them, under any of :data:`PREFIXES`.

    Raises:
        UsageError: there is no such file, or it lacks a tensor, or one has another shape.
    """
    wanted = encoder.state_dict()
    missing = set(wanted)
    for name, value in _tensors(Path(path)):
        own = next(
            (name.removeprefix(p) for p in PREFIXES if name.startswith(p) and name.removeprefix(p) in wanted), ""
        )
        if not own:
            continue
        if value.shape != wanted[own].shape:
            shapes = f"{tuple(value.shape)}, expected {tuple(wanted[own].shape)}"
            raise UsageError(f"{name} has shape {shapes}", path=path, cure="configure the encoder as in that file")
        wanted[own].copy_(value)
        missing.discard(own)
    if missing:
        raise UsageError(
            f"{len(missing)} tensors of the geometry encoder are not here, for one {min(missing)}",
            path=path,
            cure="pass geometry_weights= with the file that holds them",
        )


def _tensors(path: Path) -> Iterator[tuple[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    files = sorted(path.glob("*.safetensors")) if path.is_dir() else [path]
    if not files or not files[0].is_file():
        raise UsageError(
            "the geometry encoder's weights are not here", path=path, cure="pass geometry_weights= with their place"
        )
    for file in files:
        try:
            with safe_open(str(file), "pt") as opened:
                for name in opened.keys():  # noqa: SIM118
                    yield name, opened.get_tensor(name)
        except SafetensorError as error:
            raise UsageError(f"no safetensors file: {error}", path=file) from error
