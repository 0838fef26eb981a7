"""Take geometry away from a model, or give it the wrong one, and leave everything else as it is.

A model that uses its geometry answers worse without it. There are three ways of taking it away, and one of taking away
everything that is seen:

    zeroed    the input of each fusion level is 0, which no model has seen
    strange   another place's frames are encoded instead; their features look as they always do, but say nothing about
              the frames that are asked about
    shuffled  the view's own features, but those of each frame go to another one
    blind     every visual token is 0, in all streams: what the text alone gives

``strange`` is the fairest, because only what the features say is wrong with them. Each of the first three can also be
applied to one fusion level alone. All work on what a batch gives the model, so they work for any checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from gapdata.seeding import generator_for
from gapmodel.checkpoints import read_json
from gapmodel.fusion import fusion_streams
from gapmodel.geometry import build_geometry_encoder
from gapmodel.modeling import FusedFeatures, GapConfig, GapForConditionalGeneration

ChangeName = Literal["zeroed", "strange", "shuffled", "blind"]
OWN = "own"
AUTHORS_LEVELS = 4
"""Fusion levels of the authors' models."""
CHANGES: tuple[ChangeName, ...] = ("zeroed", "strange", "shuffled", "blind")


@dataclass(frozen=True, slots=True, kw_only=True)
class Treatment:
    """What is done to a model's geometry."""

    change: ChangeName
    stream: str = ""
    """The visual stream whose fusion level alone is changed; empty for all levels."""

    @property
    def name(self) -> str:
        """The change and the stream, as folders and tables name them."""
        return f"{self.change}-{self.stream}" if self.stream else self.change


@torch.no_grad()
def treated(
    model: GapForConditionalGeneration,
    inputs: Mapping[str, Any],
    treatment: Treatment,
    strange: Tensor | Sequence[Tensor] | None = None,
) -> dict[str, Any]:
    """Return a batch's inputs with other geometry.

    Args:
        model: on the device of the inputs.
        inputs: of a padded or packed batch, with floating point pixels.
        treatment: what is done.
        strange: for ``strange``, the frames of other places in the shapes of ``inputs["geometry_images"]``.
    """
    rest = {name: value for name, value in inputs.items() if name != "geometry_images"}
    if treatment.change == "blind":
        blank = _blank_tokens(model, inputs["image_grid_thw"])
        return {**{name: value for name, value in rest.items() if name != "pixel_values"}, "mm_encoder_outputs": blank}
    core, images = model.model, inputs["geometry_images"]
    chosen = [treatment.stream in ("", name) for name in core.streams]
    own: Sequence[Tensor | None] = [None] * len(chosen)
    if treatment.change == "shuffled" or not all(chosen):
        own = core.geometry_patches(images)
    if treatment.change == "strange":
        assert strange is not None
        other = core.geometry_patches(strange)
    elif treatment.change == "zeroed":
        patches = inputs["pixel_values"]
        other = [patches.new_zeros(len(patches), core.geometry.dim)] * len(chosen)
    else:
        places = shuffled_patches([len(view) for view in images], inputs["image_grid_thw"]).to(model.device)
        other = [level[places] for level in own if level is not None]
    levels = [theirs if change else mine for mine, theirs, change in zip(own, other, chosen, strict=True)]
    return {**rest, "geometry_features": levels}


def frame_order(frames: int) -> list[int]:
    """Return for each of a view's frames the one whose features it gets: never its own where there are several."""
    rng = generator_for(0, "shuffled frames", str(frames))
    order: list[int] = list(range(frames))
    while frames > 1 and any(place == frame for place, frame in enumerate(order)):
        order = rng.permutation(frames).tolist()
    return order


def shuffled_patches(frames: Sequence[int], grids: Tensor) -> Tensor:
    """Return the places (N,) int64 from which the patches of all views come when their frames are shuffled.

    Args:
        frames: the number of frames of each view.
        grids: (I, 3) patches along time, height and width of each frame; frames of one view have equally many.
    """
    counts = grids.prod(dim=1).tolist()
    places, frame, start = [], 0, 0
    for many in frames:
        patches = counts[frame]
        order = torch.tensor(frame_order(many)).reshape(-1, 1) * patches + torch.arange(patches)
        places.append(start + order.reshape(-1))
        start, frame = start + many * patches, frame + many
    return torch.cat(places)


def _blank_tokens(model: GapForConditionalGeneration, grids: Tensor) -> dict[str, FusedFeatures]:
    """Return visual tokens of zeros for all images, as the language model gets them."""
    vision = model.config.vision_config
    counts = [int(count) // vision.spatial_merge_size**2 for count in grids.prod(dim=1).tolist()]
    blank = tuple(
        torch.zeros(count, vision.out_hidden_size, dtype=model.dtype, device=model.device) for count in counts
    )
    levels = len(vision.deepstack_visual_indexes)
    return {"image": FusedFeatures(pooler_output=blank, deepstack_features=[blank] * levels)}


def model_streams(directory: Path) -> tuple[str, ...]:
    """Return the visual streams that a model fuses geometry into, without loading its weights."""
    fields = read_json(directory / "config.json")
    if fields.get("use_geometry_encoder"):  # a checkpoint of the authors
        return tuple(fusion_streams("gated", AUTHORS_LEVELS, AUTHORS_LEVELS - 1))
    config = GapConfig.from_pretrained(str(directory))
    with torch.device("meta"):
        encoder = build_geometry_encoder(config.geometry)
    return tuple(fusion_streams(config.fusion, len(encoder.levels), len(config.vision_config.deepstack_visual_indexes)))
