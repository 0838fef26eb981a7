"""A frozen geometry encoder that a checkpoint refers to instead of holding it.

VGGT has half as many weights as Qwen3-VL-2B, and training does not change them. ``save_pretrained(directory,
save_frozen=False)`` leaves them out and writes into ``config.json`` where they came from (a path, or a name on the
Hugging Face Hub) and their fingerprint; ``from_pretrained`` reads them from there (or from ``geometry_weights=``, if
they were moved) and compares.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Any

import torch
from huggingface_hub import hf_hub_download
from huggingface_hub.errors import HfHubHTTPError
from torch import nn

from gapdata.errors import UsageError
from gapmodel.checkpoints import FILES, load_geometry

HUB_NAME = re.compile(r"\w[\w.-]*/\w[\w.-]*")
"""A repository on the Hugging Face Hub, ``owner/name``."""


class EncoderByReference:
    """A mixin for models with ``model.geometry``: ``save_pretrained`` and ``from_pretrained`` with that choice."""

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: Any, *args: Any, geometry_weights: str | Path | None = None, **kwargs: Any
    ) -> Any:
        """Load as the stock method does, and read weights that the checkpoint refers to.

        They are read from ``geometry_weights``, or from their origin.

        Raises:
            UsageError: the frozen geometry encoder is not where the checkpoint says, or is another one.
        """
        loaded = super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)  # type: ignore[misc]
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        config = model.config
        if config.geometry_fingerprint:
            origin = str(geometry_weights or config.geometry_weights)
            load_geometry(model.model.geometry, weights_at(origin, str(config.geometry.get("licence", ""))))
            if fingerprint(model.model.geometry) != config.geometry_fingerprint:
                raise UsageError(
                    "these are not the geometry weights that the model was trained with",
                    path=origin,
                    cure=f"pass the file that was {config.geometry_weights} then as geometry_weights=",
                )
            config.geometry_weights, config.geometry_fingerprint = origin, None
            model.model.freeze(["geometry"])
        return loaded

    def save_pretrained(self, save_directory: str | Path, *, save_frozen: bool = True, **kwargs: Any) -> None:
        """Save as the stock method does; without ``save_frozen`` refer to the frozen geometry encoder's origin.

        Raises:
            UsageError: the encoder is trained, or the origin of its weights is not known.
        """
        save = super().save_pretrained  # type: ignore[misc]
        model: Any = self
        if save_frozen:
            save(str(save_directory), **kwargs)
            return
        if any(parameter.requires_grad for parameter in model.model.geometry.parameters()):
            raise UsageError("the geometry encoder is not frozen", cure="freeze it, or leave save_frozen=True")
        if model.config.geometry_weights is None:
            raise UsageError(
                "the origin of the geometry encoder's weights is not known",
                cure="give from_base geometry_weights=, or leave save_frozen=True",
            )
        kept = {name: value for name, value in model.state_dict().items() if not name.startswith("model.geometry.")}
        model.config.geometry_fingerprint = fingerprint(model.model.geometry)
        try:
            save(str(save_directory), state_dict=kept, **kwargs)
        finally:
            model.config.geometry_fingerprint = None


def weights_at(origin: str, licence: str = "") -> Path:
    """Return the file or directory of weights that are named by a path or by their repository on the Hub.

    Args:
        origin: a path, or ``owner/name``: the file is then taken from the Hub's cache, or downloaded into it.
        licence: of the weights, for the message.

    Raises:
        UsageError: they are neither here nor to be had.
    """
    if Path(origin).exists() or not HUB_NAME.fullmatch(origin):
        return Path(origin)
    failure: Exception
    for name in FILES[:2]:
        try:
            return Path(hf_hub_download(origin, name))
        except (OSError, ValueError, HfHubHTTPError) as error:  # offline, unknown, closed, or it has another file
            failure = error
    terms = f", licence {licence}" if licence else ""
    raise UsageError(
        f"the model refers to the geometry encoder's weights {origin}{terms}, and they are not here",
        cure=f"run `hf download {origin} {FILES[0]}`, or pass the file or its directory as geometry_weights=",
    ) from failure


def fingerprint(module: nn.Module) -> str:
    """Return the SHA-256 of a module's tensors by name, rounded to bfloat16, so that float32 copies have the same."""
    digest = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)}\n".encode())
        digest.update(value.detach().to("cpu", torch.bfloat16).contiguous().view(torch.int16).numpy())
    return digest.hexdigest()
