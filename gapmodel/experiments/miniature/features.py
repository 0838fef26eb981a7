"""Keep the features of the frozen towers on disk: all arms and seeds show them the same views, over and over.

On a CPU a tower gives a view the same bits whatever else is in its batch, so kept features change neither training nor
results. A file holds one view (geometry) or one frame (vision) under the digest of its pixels, in a folder of the
tower's fingerprint; workers share it without knowing of each other. Marked frames hardly ever occur twice, so training
that marks them does not keep them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import torch
from safetensors.torch import load, save
from torch import Tensor
from transformers.models.qwen3_vl.modeling_qwen3_vl import BaseModelOutputWithDeepstackFeatures, Qwen3VLVisionModel

from gapdata.errors import GapDataError
from gapdata.files.atomic import atomic_file
from gapmodel.encoder_by_reference import fingerprint
from gapmodel.geometry.base import GeometryEncoder
from gapmodel.modeling import GapForConditionalGeneration


def remember(model: GapForConditionalGeneration, folder: Path) -> None:
    """Freeze the towers of a model, and let them keep their features in ``folder`` and look up those that are there."""
    vision, geometry = model.model.visual, model.model.geometry
    for tower in (vision, geometry):
        tower.requires_grad_(requires_grad=False)
    _remember_vision(vision, folder)
    _remember_geometry(geometry, folder)


class Features:
    """The features of one tower, by the pixels that it was shown.

    Args:
        folder: where they are kept; each tower has a folder of its own.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder

    def of(
        self, shown: Sequence[Tensor], encode: Callable[[list[int]], Iterable[Sequence[Tensor]]]
    ) -> list[Sequence[Tensor]]:
        """Return the features of each of ``shown``, on its device; ``encode`` computes those that are not known.

        Raises:
            GapDataError: they cannot be written.
        """
        paths = [self.folder / f"{_digest(pixels)}.safetensors" for pixels in shown]
        found = [_read(path, pixels.device) for path, pixels in zip(paths, shown, strict=True)]
        unknown = [index for index, features in enumerate(found) if features is None]
        new = dict(zip(unknown, encode(unknown) if unknown else (), strict=True))
        for index, features in new.items():
            _write(paths[index], features)
        return [new[index] if features is None else features for index, features in enumerate(found)]


def _remember_geometry(encoder: GeometryEncoder, folder: Path) -> None:
    # An encoder of fewer levels may have the same weights.
    levels = "-".join(map(str, encoder.levels))
    features, encode = Features(folder / f"geometry-{levels}-{fingerprint(encoder)}"), encoder.encode

    def looked_up(images: Tensor) -> list[Tensor]:
        views = features.of(tuple(images), lambda unknown: zip(*encode(images[unknown]), strict=True))
        return [torch.stack(level) for level in zip(*views, strict=True)]

    encoder.encode = looked_up  # type: ignore[method-assign]


def _remember_vision(tower: Qwen3VLVisionModel, folder: Path) -> None:
    features, forward = Features(folder / f"vision-{fingerprint(tower)}"), tower.forward

    def looked_up(
        hidden_states: Tensor, grid_thw: Tensor, return_dict: bool = True
    ) -> BaseModelOutputWithDeepstackFeatures:
        patches = grid_thw.prod(dim=1).tolist()
        images = torch.split(hidden_states, patches)

        def encode(unknown: list[int]) -> Iterable[Sequence[Tensor]]:
            said = forward(torch.cat([images[index] for index in unknown]), grid_thw[unknown])
            tokens = [patches[index] // tower.spatial_merge_size**2 for index in unknown]
            streams = [level.split(tokens) for level in (said.pooler_output, *said.deepstack_features)]
            return zip(said.last_hidden_state.split([patches[index] for index in unknown]), *streams, strict=True)

        last, final, *levels = (torch.cat(parts) for parts in zip(*features.of(images, encode), strict=True))
        return BaseModelOutputWithDeepstackFeatures(
            last_hidden_state=last, pooler_output=final, deepstack_features=levels
        )

    tower.forward = looked_up


def _digest(pixels: Tensor) -> str:
    digest = hashlib.blake2b(f"{pixels.dtype} {tuple(pixels.shape)}\n".encode(), digest_size=20)
    digest.update(pixels.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read(path: Path, device: torch.device) -> list[Tensor] | None:
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    tensors = load(data)
    return [tensors[str(index)].to(device) for index in range(len(tensors))]


def _write(path: Path, features: Sequence[Tensor]) -> None:
    named = {str(index): value.detach().cpu().contiguous() for index, value in enumerate(features)}
    try:
        with atomic_file(path, durable=False) as file:
            file.write(save(named))
    except OSError as error:
        raise GapDataError(
            f"the features of a view cannot be written: {error.strerror}",
            path=path,
            cure="make room for some gigabytes, or go on with --set keep_features=false",
        ) from error
