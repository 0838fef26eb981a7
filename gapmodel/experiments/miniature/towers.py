"""Train the two towers before the experiment begins; after that they are frozen.

GAP-MLLM's vision tower and VGGT are pre-trained before its stage 1. Two small towers that are trained here stand in:

* the vision tower learns what each part of a frame shows (its category), which part of it that is, and where a mark
  lies: flat pictures;
* the geometry encoder learns VGGT's task, the point of every pixel in the first frame's camera, read from all levels
  that it offers as VGGT's own heads do, and never a category.

Every stream that the vision tower gives (final tokens and DeepStack levels) has a head and a loss of its own: the
language model will read them all, and their mergers are frozen too. Heads are dropped afterwards. All arms and seeds
share the two towers.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from gapdata.files.atomic import atomic_file, write_atomically
from gapdata.seeding import generator_for
from gapdata.shards.reader import ShardReader
from gapdata.tasks.chat import Mark
from gapmodel.experiments.miniature.recipe import TowerRecipe
from gapmodel.experiments.miniature.views import Cells, TrainingViews, fixed_views, label_targets, point_targets
from gapmodel.modeling import GapModel
from gapmodel.packing import in_batches
from gapmodel.processing import GapProcessor
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.augment import DecodedRecord
from gapmodel.training.dense import POINT_SCALE, point_loss
from gapmodel.training.optimisation import learning_rate_share
from gapmodel.training.recipe import TrainRecipe

Batch = dict[str, Tensor]

RIDGE = 1e-3
"""Weight of the squared coefficients of a linear map, for each patch that it is fitted to; features have variance 1."""


class VisionTower(nn.Module):
    """Qwen3-VL's vision model of a configuration, and a head for each of its streams: categories, and the mark."""

    name = "vision"

    def __init__(
        self, model: GapModel, processor: GapProcessor, data: DataRecipe, classes: Sequence[str], cells: int
    ) -> None:
        super().__init__()
        self.tower = model.visual
        self.processor, self.data = processor, data
        self.classes = {label: index for index, label in enumerate(classes)}
        config = processor.config
        self.cells = Cells(
            blocks=(config.grid[0] // config.merge_size, config.grid[1] // config.merge_size), side=cells
        )
        width, streams = model.config.vision_config.out_hidden_size, 1 + len(self.tower.deepstack_visual_indexes)
        self.outputs = (self.cells.per_block * len(classes), self.cells.per_block, 2)
        self.heads = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, sum(self.outputs))) for _ in range(streams)
        )

    def batch(self, numbered: Sequence[tuple[int, DecodedRecord]], seed: int) -> Batch:
        """Return views marked at a random pixel, their cells' classes (B, F * T, cells) and the mark's cell (B,)."""
        config, patches, grids, labels, marked = self.processor.config, [], [], [], []
        for number, view in numbered:
            rng, size = generator_for(seed, "mark", str(number)), view.record.image_size
            frame = int(rng.integers(len(view.record)))
            pixel = (int(rng.integers(size[0])), int(rng.integers(size[1])))
            look = self.processor.look(list(view.images), (Mark(frame=frame, pixel=pixel),))
            patches.append(look.pixel_values)
            grids += [(1, *look.grid)] * len(view.record)
            found = label_targets(view, self.cells.pixels(config, size), self.classes, self.data)
            labels.append(found.reshape(-1, self.cells.per_block))
            tokens = self.cells.blocks[0] * self.cells.blocks[1]
            marked.append(frame * tokens * self.cells.per_block + self.cells.holding(config, size, pixel))
        return {
            "pixel_values": torch.from_numpy(np.concatenate(patches)),
            "grid_thw": torch.tensor(grids),
            "labels": torch.from_numpy(np.stack(labels)),
            "marked": torch.tensor(marked),
        }

    def loss(self, batch: Batch) -> Tensor:
        """Return the loss, mean over the streams.

        It is the cross-entropy of the cells' classes and of the marked cell, and the L1 error of the blocks' places.
        """
        losses = []
        for classes, mark, place in self.answers(batch):
            known = F.cross_entropy(classes.flatten(0, -2), batch["labels"].flatten(), ignore_index=-1)
            lost = (place - self._places(place)).abs().sum(dim=-1).mean()
            losses.append(known + F.cross_entropy(mark, batch["marked"]) + lost)
        return torch.stack(losses).mean()

    def _places(self, like: Tensor) -> Tensor:
        """Return the blocks' centres in a frame with sides from -1 to 1, repeated for each frame: (F * T, 2)."""
        rows, columns = self.cells.blocks
        down, right = ((2 * torch.arange(count).to(like) + 1) / count - 1 for count in (rows, columns))
        return torch.cartesian_prod(down, right).repeat(like.shape[1] // (rows * columns), 1)

    def answers(self, batch: Batch) -> list[tuple[Tensor, Tensor, Tensor]]:
        """Return the answers of each stream, the final one last.

        They are class logits (B, F * T, cells, C), mark logits (B, F * T * cells) and the blocks' places (B, F * T, 2).
        """
        output = self.tower(batch["pixel_values"], grid_thw=batch["grid_thw"])
        streams = [*output.deepstack_features, output.pooler_output]
        views, answers = len(batch["marked"]), []
        for head, tokens in zip(self.heads, streams, strict=True):
            classes, mark, place = head(tokens).reshape(views, -1, sum(self.outputs)).split(self.outputs, dim=-1)
            classes = classes.reshape(views, -1, self.cells.per_block, len(self.classes))
            answers.append((classes, mark.flatten(1), place))
        return answers

    def measure(self, batches: Sequence[Batch], known: Sequence[Batch]) -> dict[str, float]:
        """Return the figures of the final tokens.

        They are the shares of cells classed rightly, of the class that is commonest in ``known`` (training views), and
        of marks found, and the mean error of a block's place along a side, as a share of it.
        """
        counts = sum(torch.bincount(b["labels"].flatten() + 1, minlength=len(self.classes) + 1) for b in known)
        commonest = int(torch.as_tensor(counts)[1:].argmax())
        right, blind, cells, found, lost = 0, 0, 0, 0, []
        for batch in batches:
            classes, mark, place = self.answers(batch)[-1]
            labels = batch["labels"]
            right += int(((classes.argmax(dim=-1) == labels) & (labels >= 0)).sum())
            blind += int((labels == commonest).sum())
            cells += int((labels >= 0).sum())
            found += int((mark.argmax(dim=-1) == batch["marked"]).sum())
            lost.append(((place - self._places(place)) / 2).abs().mean())
        views = sum(len(batch["marked"]) for batch in batches)
        return {
            "cells_right": right / max(cells, 1),
            "commonest_class": blind / max(cells, 1),
            "marks_found": found / max(views, 1),
            "place_error": float(torch.stack(lost).mean()),
        }


class GeometryTower(nn.Module):
    """The geometry encoder of a configuration, and a head that reads each patch's points from all its levels."""

    name = "geometry"

    def __init__(self, model: GapModel, processor: GapProcessor, cells: int) -> None:
        super().__init__()
        self.tower = model.geometry
        self.processor = processor
        self.cells = Cells(blocks=processor.config.grid, side=cells)
        width = len(self.tower.levels) * self.tower.dim
        self.head = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 256), nn.GELU(), nn.Linear(256, 3 * self.cells.per_block)
        )

    def batch(self, numbered: Sequence[tuple[int, DecodedRecord]], seed: int) -> Batch:
        """Return views (B, F, 3, H, W) and their cells' points (B, F, patches, cells, 3) metres."""
        config = self.processor.config
        images = [self.processor.look(list(view.images)).geometry_images for _, view in numbered]
        points = [point_targets(view, self.cells.pixels(config, view.record.image_size)) for _, view in numbered]
        return {"images": torch.from_numpy(np.stack(images)), "points": torch.from_numpy(np.stack(points))}

    def loss(self, batch: Batch) -> Tensor:
        """Return the L1 distance of the points (:func:`gapmodel.training.dense.point_loss`)."""
        return point_loss(self.answers(batch) / POINT_SCALE, batch["points"])

    def answers(self, batch: Batch) -> Tensor:
        """Return the points that the head reads, (B, F, patches, cells, 3) metres."""
        levels = torch.cat(self.tower(batch["images"]), dim=-1)
        metres: Tensor = self.head(levels).reshape(batch["points"].shape) * POINT_SCALE
        return metres

    def measure(self, batches: Sequence[Batch], known: Sequence[Batch]) -> dict[str, Any]:
        """Return median distances in metres, in the first frame and in the others.

        Beside them are those of the answer that is the same for every view: the median point of each cell of each frame
        in ``known`` (training views). ``by_level`` and ``all_levels`` are those of a linear map, fitted on ``known``,
        that reads a patch's mean point from each level alone, first to last, and from all of them: what fusing several
        levels can add to the last one.
        """
        answers = torch.cat([self.answers(batch) for batch in batches])
        points = torch.cat([batch["points"] for batch in batches])
        constant = torch.cat([batch["points"] for batch in known]).nanmedian(dim=0, keepdim=True).values
        errors, blind = (answers - points).norm(dim=-1), (constant - points).norm(dim=-1)
        return {
            "first_frame": float(errors[:, :1].nanmedian()),
            "other_frames": float(errors[:, 1:].nanmedian()) if points.shape[1] > 1 else float("nan"),
            "constant_first_frame": float(blind[:, :1].nanmedian()),
            "constant_other_frames": float(blind[:, 1:].nanmedian()) if points.shape[1] > 1 else float("nan"),
            **self._read_linearly(batches, known),
        }

    def _read_linearly(self, batches: Sequence[Batch], known: Sequence[Batch]) -> dict[str, Any]:
        (levels, points), (known_levels, known_points) = self._patches(batches), self._patches(known)
        alone = [_linear_error(*pair, known_points, points) for pair in zip(known_levels, levels, strict=True)]
        together = _linear_error(torch.cat(known_levels, dim=1), torch.cat(levels, dim=1), known_points, points)
        return {"by_level": alone, "all_levels": together}

    def _patches(self, batches: Sequence[Batch]) -> tuple[list[Tensor], Tensor]:
        """Return each level's features (N, D) of patches with a known point, and their mean points (N, 3) metres."""
        points = torch.cat([batch["points"] for batch in batches]).nanmean(dim=-2).flatten(0, -2)
        levels = zip(*(self.tower(batch["images"]) for batch in batches), strict=True)
        valid = points.isfinite().all(dim=-1)
        return [torch.cat(parts).reshape(len(points), -1)[valid] for parts in levels], points[valid]


def _linear_error(known: Tensor, asked: Tensor, known_points: Tensor, points: Tensor) -> float:
    """Return the median distance in metres of ``points`` (M, 3) from those that a linear map reads.

    The map (ridge regression) is fitted to features ``known`` (N, D) with ``known_points`` (N, 3) and reads the
    features ``asked`` (M, D).
    """
    mean, spread = known.mean(dim=0), known.std(dim=0) + 1e-6
    design, question = (F.pad((each - mean) / spread, (0, 1), value=1.0).double() for each in (known, asked))
    ridge = RIDGE * len(design) * torch.eye(design.shape[1]).to(design)
    weights = torch.linalg.solve(design.T @ design + ridge, design.T @ known_points.double())
    return float((question @ weights - points).norm(dim=-1).median())


def train_tower(
    tower: VisionTower | GeometryTower,
    reader: ShardReader,
    data: DataRecipe,
    recipe: TowerRecipe,
    schedule: TrainRecipe,
    out: Path,
    *,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Train a tower, or go on where it was interrupted, write its weights and measure it on held-out scenes.

    Args:
        tower: with its head.
        reader: the build; its split ``val`` is what the tower is measured on.
        data: view and frames.
        recipe: steps, batch size, learning rate.
        schedule: warm-up, final learning rate, clipping, weight decay: those of the experiment.
        out: ``out/<name>.safetensors`` gets the weights, ``out/<name>.ckpt`` is the checkpoint.
        seed: of the views' order and variations.
        device: where to compute.

    Returns:
        ``losses`` (mean of each hundredth of the run) and the tower's figures on held-out views.
    """
    from safetensors.torch import save

    tower.to(device).train()
    optimizer = torch.optim.AdamW(
        tower.parameters(), lr=recipe.learning_rate, betas=(0.9, schedule.beta2), weight_decay=schedule.weight_decay
    )
    saved = out / f"{tower.name}.ckpt"
    losses = _resume(tower, optimizer, saved, device)
    steps, size = range(len(losses), recipe.steps), recipe.batch_size
    batches = DataLoader(
        TrainingViews(reader, data, seed),
        batch_size=size,
        sampler=range(steps.start * size, steps.stop * size),
        num_workers=recipe.workers,
        collate_fn=partial(tower.batch, seed=seed),
    )
    for step, read in zip(steps, batches, strict=True):
        batch = _moved(read, device)
        for group in optimizer.param_groups:
            group["lr"] = recipe.learning_rate * learning_rate_share(step, recipe.steps, schedule)
        optimizer.zero_grad(set_to_none=True)
        loss = tower.loss(batch)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(tower.parameters(), schedule.clip)
        optimizer.step()
        losses.append(loss.item())
        if (step + 1) % recipe.save_every == 0 or step + 1 == recipe.steps:
            state = {"tower": tower.state_dict(), "optimizer": optimizer.state_dict(), "losses": losses}
            with atomic_file(saved) as file:
                torch.save(state, file)
    figures = _measure(tower, reader, data, recipe, seed, device)
    weights = {name: value.detach().cpu().contiguous() for name, value in tower.tower.state_dict().items()}
    write_atomically(out / f"{tower.name}.safetensors", save(weights))
    parts = np.array_split(losses, min(100, len(losses)))
    return {"losses": [float(part.mean()) for part in parts], **figures}


def _resume(tower: nn.Module, optimizer: torch.optim.Optimizer, saved: Path, device: torch.device) -> list[float]:
    """Put a checkpoint into a tower and its optimizer, if there is one; return the losses of the steps so far."""
    if not saved.is_file():
        return []
    state = torch.load(saved, map_location=device, weights_only=True)
    tower.load_state_dict(state["tower"])
    optimizer.load_state_dict(state["optimizer"])
    losses: list[float] = state["losses"]
    return losses


def _measure(
    tower: VisionTower | GeometryTower,
    reader: ShardReader,
    data: DataRecipe,
    recipe: TowerRecipe,
    seed: int,
    device: torch.device,
) -> dict[str, Any]:
    """Return a tower's figures on held-out views."""
    tower.eval()
    measured = []
    for split in ("val", "train"):
        chosen = list(enumerate(fixed_views(reader, data, split, recipe.measured)))
        measured.append([_moved(tower.batch(part, seed), device) for part in in_batches(chosen, recipe.batch_size)])
    with torch.no_grad():
        return tower.measure(*measured)


def load_tower(module: nn.Module, path: Path) -> None:
    """Put the weights of a trained tower into a model's."""
    from safetensors.torch import load

    module.load_state_dict(load(path.read_bytes()))


def _moved(batch: Batch, device: torch.device) -> Batch:
    return {name: value.to(device) for name, value in batch.items()}
