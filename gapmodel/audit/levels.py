"""What each fusion level does with geometry: its gates, and how far its tokens move without the view's own geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gapdata.shards.records import Records
from gapmodel.evaluation.answering import Answerer
from gapmodel.evaluation.asking import Asked, TaskQuestions, spread
from gapmodel.fusion import FINAL
from gapmodel.inspection.geometry_treatments import Treatment
from gapmodel.modeling import FusedFeatures, GapForConditionalGeneration
from gapmodel.processing import GapProcessor

VIEWS = 16
"""Views that the figures are taken from, spread over those of all questions."""
GATE_OF_GEOMETRY = "gated_residual"
"""The strategy whose gate is the share of geometry that is let in; those of the others are the share of vision."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LevelFigures:
    """One fusion level, over the tokens and channels of some views."""

    stream: str
    strategy: str
    gate_of: str
    """``vision`` or ``geometry``: whose share the gate is; empty without a gate."""
    gate: float | None
    """Mean of the gates."""
    gate_spread: float | None
    """Standard deviation of the gates over tokens and channels."""
    moved: float
    """|own - treated| / |own| of the fused tokens: 0 means that geometry does not reach the language model here."""


@torch.no_grad()
def level_figures(
    model: GapForConditionalGeneration,
    processor: GapProcessor,
    reader: Records,
    asked: Sequence[Asked],
    treatment: Treatment,
) -> list[LevelFigures]:
    """Return the figures of each fusion level, in the order of the encoder's levels.

    Args:
        model: in evaluation mode, on its device.
        processor: the model's.
        reader: the build.
        asked: questions about the views that are shown (:func:`one_a_view`).
        treatment: of all levels, which moves their tokens.
    """
    answerer = Answerer(model=model, processor=processor, reader=reader, treatment=treatment, bar=False)
    sums = [_Sums() for _ in model.model.streams]
    for item in asked:
        example = answerer.example(item)
        inputs = processor.collate([example]).to(model.device).inputs
        other = answerer.change([item], [example])(inputs)
        pixels = (inputs["pixel_values"], inputs["image_grid_thw"])
        own = model.model.get_image_features(*pixels, inputs["geometry_images"], output_gates=True)
        moved = model.model.get_image_features(*pixels, geometry_features=other["geometry_features"])
        for name, gate, level in zip(model.model.streams, own.gates or (), sums, strict=True):
            level.add(_tokens(own, name), _tokens(moved, name), gate)
    pairs = zip(model.model.streams.items(), sums, strict=True)
    return [level.figures(stream, strategy) for (stream, strategy), level in pairs]


def one_a_view(questions: Sequence[TaskQuestions]) -> list[Asked]:
    """Return the first question about each of a few views, spread over all."""
    first: dict[int, Asked] = {}
    for task in questions:
        for item in task.asked:
            first.setdefault(item.index, item)
    return spread(list(first.values()), VIEWS)


class _Sums:
    """Sums over the tokens of one level."""

    def __init__(self) -> None:
        self._own = self._moved = 0.0
        self._gates = [0.0, 0.0, 0.0]  # number, sum, sum of squares

    def add(self, own: Tensor, other: Tensor, gate: Tensor | None) -> None:
        """Add the tokens (T, D) of a view with its own and with another place's geometry, and its gates."""
        self._own += float(own.double().square().sum())
        self._moved += float((own.double() - other.double()).square().sum())
        if gate is not None:
            values = gate.double()
            new = (float(values.numel()), float(values.sum()), float(values.square().sum()))
            self._gates = [before + more for before, more in zip(self._gates, new, strict=True)]

    def figures(self, stream: str, strategy: str) -> LevelFigures:
        """Return what was added as figures."""
        count, total, squares = self._gates
        mean = total / count if count else None
        return LevelFigures(
            stream=stream,
            strategy=strategy,
            gate_of="" if mean is None else "geometry" if strategy == GATE_OF_GEOMETRY else "vision",
            gate=mean,
            gate_spread=None if mean is None else max(squares / count - mean**2, 0.0) ** 0.5,
            moved=(self._moved / self._own) ** 0.5 if self._own else 0.0,
        )


def _tokens(fused: FusedFeatures, stream: str) -> Tensor:
    found: Any = fused.pooler_output
    if stream != FINAL:
        assert fused.deepstack_features is not None
        found = fused.deepstack_features[int(stream.rpartition(".")[2])]
    return torch.cat(tuple(found))
