"""One plain training loop for both stages: a recipe, a build, and a model that is new or comes from an earlier stage.

A run's directory::

    model/           config.json, model.safetensors, tokenizer, gap_processor.json, recipe.json: what
    ``from_pretrained`` loads log.jsonl        one line a step: loss, its parts, learning rate, gradient norm, seconds

``model/`` is written next to its place and renamed, so that it is always whole.
"""

from __future__ import annotations

import ctypes
import json
import math
import os
import shutil
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from gapdata.errors import GapDataError, UsageError
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.questions import questions
from gapmodel.data import Questions, Records, batches, chosen_records, question_options
from gapmodel.dense import DenseHead
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import IGNORED, Batch
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor
from gapmodel.recipe import VARIED, DataRecipe, TrainingRecipe
from gapmodel.tokenizer import special_token_ids, train_tokenizer

MODEL_DIRECTORY = "model"
LOG_FILE = "log.jsonl"
RECIPE_FILE = "recipe.json"


class TrainingError(GapDataError):
    """Training cannot go on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What a run came to: mean losses over the first and the last tenth of its steps, and where its model lies."""

    model_directory: Path
    steps: int
    questions: int
    first_loss: float
    last_loss: float
    seconds: float


def train(reader: Records, recipe: TrainingRecipe, out: Path, *, init: Path | None = None) -> Outcome:
    """Train on the questions of a build and write the model to ``out / "model"``.

    Args:
        reader: the build's records.
        recipe: what to do.
        out: the run's directory; made if it is missing.
        init: a model directory (or the directory of the run that wrote it) to start from instead of random weights; its
            processor is kept.

    Raises:
        UsageError: the build has no such records, or ``init`` holds no model.
        TrainingError: a loss is not finite; the message names the records.
    """
    started = time.monotonic()
    settings = recipe.train
    keep_freed_memory()
    if settings.threads:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(recipe.seed)
    model, processor = new_model(reader, recipe) if init is None else load_model(init)
    model.model.freeze(settings.freeze)
    classes = class_names(reader, recipe.data) if settings.visual_weight or settings.asked_weight else None
    questions = Questions(reader, processor, recipe.data, recipe.seed, classes)
    head = None if classes is None else DenseHead(model.config.text_config.hidden_size, len(classes))
    optimizer = build_optimizer(model, head, recipe)

    out.mkdir(parents=True, exist_ok=True)
    losses: list[float] = []
    model.train()
    with (out / LOG_FILE).open("w", encoding="utf-8") as log:
        steps = batches(questions, settings.batch_size, settings.steps, workers=settings.workers)
        bar = tqdm(steps, total=settings.steps, desc=recipe.data.task, unit="step", mininterval=1.0, file=sys.stderr)
        for step, batch in enumerate(bar):
            rate = learning_rate(step, recipe)
            for group in optimizer.param_groups:
                group["lr"] = rate
            figures = training_step(model, head, batch, optimizer, recipe)
            losses.append(figures["answer"])
            write_line(log, {"step": step, **figures, "lr": rate, "seconds": time.monotonic() - started})
            bar.set_postfix(loss=f"{smoothed(losses):.3f}", refresh=False)
            if settings.save_every and (step + 1) % settings.save_every == 0 and step + 1 < settings.steps:
                save_model(model, processor, recipe, out / MODEL_DIRECTORY)
    save_model(model, processor, recipe, out / MODEL_DIRECTORY)
    tenth = max(1, len(losses) // 10)
    return Outcome(
        model_directory=out / MODEL_DIRECTORY,
        steps=len(losses),
        questions=len(losses) * settings.batch_size,
        first_loss=sum(losses[:tenth]) / tenth,
        last_loss=sum(losses[-tenth:]) / tenth,
        seconds=time.monotonic() - started,
    )


def training_step(
    model: GapForConditionalGeneration,
    head: DenseHead | None,
    batch: Batch,
    optimizer: torch.optim.Optimizer,
    recipe: TrainingRecipe,
) -> dict[str, float]:
    """One step; the losses and the gradient norm. Raises :class:`TrainingError` on a loss that is not finite."""
    losses = batch_losses(model, head, batch.to(model.device))
    weights = {"answer": 1.0, "visual": recipe.train.visual_weight, "asked": recipe.train.asked_weight}
    loss = sum((weights[name] * value for name, value in losses.items()), torch.zeros(()))
    if not math.isfinite(loss.item()):
        raise TrainingError(
            f"the loss is {loss.item()} on records {', '.join(sorted(set(batch.keys)))}",
            cure="look at these records with `gapdata view`, or lower train.learning_rate",
        )
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    parameters = [parameter for group in optimizer.param_groups for parameter in group["params"]]
    norm = nn.utils.clip_grad_norm_(parameters, recipe.train.clip)
    optimizer.step()
    return {"loss": loss.item(), **{name: value.item() for name, value in losses.items()}, "grad_norm": norm.item()}


def batch_losses(model: GapForConditionalGeneration, head: DenseHead | None, batch: Batch) -> dict[str, Tensor]:
    """``answer``, the mean cross-entropy of the answers' tokens; with a head also the dense ``visual`` and ``asked``.

    Logits are computed at the answers' positions alone: a vocabulary of 151,936 makes all others the most expensive
    part.
    """
    inputs = dict(batch.inputs)
    features = model.model.get_image_features(
        inputs.pop("pixel_values"), inputs["image_grid_thw"], inputs.pop("geometry_images", None)
    )
    following = torch.roll(batch.labels, -1, dims=1)
    following[:, -1] = IGNORED
    answered = following != IGNORED  # (B, S) positions that predict a token of an answer
    hidden = model.model(**inputs, mm_encoder_outputs={"image": features}).last_hidden_state[answered]
    answer = F.cross_entropy(model.lm_head(hidden).float(), following[answered])
    if head is None:
        return {"answer": answer}
    return {
        "answer": answer,
        "visual": head.visual_loss(torch.cat(tuple(features.pooler_output)), batch.targets),
        "asked": head.asked_loss(hidden, batch.questions[answered], batch.targets),
    }


def build_optimizer(model: nn.Module, head: nn.Module | None, recipe: TrainingRecipe) -> torch.optim.AdamW:
    """AdamW over what is trained; weight decay for matrices only."""
    modules = [model] if head is None else [model, head]
    parameters = [p for module in modules for p in module.parameters() if p.requires_grad]
    return torch.optim.AdamW(
        [
            {"params": [p for p in parameters if p.ndim >= 2], "weight_decay": recipe.train.weight_decay},
            {"params": [p for p in parameters if p.ndim < 2], "weight_decay": 0.0},
        ],
        lr=recipe.train.learning_rate,
        betas=(0.9, recipe.train.beta2),
        fused=True,
    )


def learning_rate(step: int, recipe: TrainingRecipe) -> float:
    """Linear warm-up, then a cosine down to ``final_learning_rate`` of the peak."""
    settings = recipe.train
    warmup = max(1, round(settings.warmup * settings.steps))
    if step < warmup:
        return settings.learning_rate * (step + 1) / warmup
    progress = (step - warmup) / max(1, settings.steps - warmup)
    share = settings.final_learning_rate + (1 - settings.final_learning_rate) * 0.5 * (1 + math.cos(math.pi * progress))
    return settings.learning_rate * share


def new_model(reader: Records, recipe: TrainingRecipe) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """The tiny preset with random weights, and a tokenizer for the tasks' words and the build's labels."""
    from gapdata.tasks import detection, pointmap

    labels = class_names(reader, recipe.data)
    example = pointmap.PointmapAnswer(point=(0.25, -1.5, 2.75), label=None)
    box = detection.TextBox(
        label=labels[0] if labels else "object", values=(0.25, -1.5, 2.75, 1.0, 1.0, 1.0, -0.5, 0.5, 0.0)
    )
    texts = [
        "user\n",
        "assistant\n",
        "<1.0 seconds>",
        pointmap.WITH_LABEL,
        pointmap.WITHOUT_LABEL,
        pointmap.answer_text(example),
        *(pointmap.answer_text(pointmap.PointmapAnswer(point=(0.25, -1.5, 2.75), label=label)) for label in labels),
        detection.PROMPT,
        detection.answer_text([box, box]),
        *spoken_texts(reader, recipe.data),
    ]
    tokenizer = train_tokenizer(texts)
    size, merge = recipe.processor, recipe.processor.merge_size
    config = preset(
        "tiny",
        token_ids=special_token_ids(tokenizer),
        fusion=recipe.model.fusion,
        text={"vocab_size": len(tokenizer), **recipe.model.text},
        geometry={"patch_size": size.geometry_patch_size, **recipe.model.geometry},
        vision={
            "patch_size": size.patch_size,
            "temporal_patch_size": size.temporal_patch_size,
            "spatial_merge_size": merge,
            **recipe.model.vision,
        },
    )
    return GapForConditionalGeneration(config), GapProcessor(tokenizer, recipe.processor)


def spoken_texts(reader: Records, recipe: DataRecipe) -> list[str]:
    """What is said in questions whose words are not fixed: descriptions, and other people's conversations."""
    if recipe.task in VARIED:
        return []
    options, rng = question_options(recipe), np.random.default_rng(0)
    asked = [
        question
        for index in chosen_records(reader, recipe)
        for question in questions(reader[index], recipe.task, options, rng)
    ]
    return [text for question in asked for text in (*question.text.split(IMAGE), question.answer)]


def class_names(reader: Records, recipe: DataRecipe) -> list[str]:
    """All labels of the recipe's records, sorted."""
    chosen = [reader[index] for index in chosen_records(reader, recipe)]
    return sorted({item.label for record in chosen for item in record.objects})


def model_directory(directory: Path) -> Path:
    """The model directory that ``directory`` is, or the one inside a run's directory.

    Raises:
        UsageError: there is no model.
    """
    found = directory / MODEL_DIRECTORY if (directory / MODEL_DIRECTORY).is_dir() else directory
    if not (found / "config.json").is_file():
        raise UsageError("no model here", path=directory, cure="name a directory that pretrain.py or finetune.py wrote")
    return found


def load_model(directory: Path) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Read a model and its processor from a model directory or a run's directory."""
    found = model_directory(directory)
    return GapForConditionalGeneration.from_pretrained(str(found)), GapProcessor.from_pretrained(found)


def save_model(
    model: GapForConditionalGeneration, processor: GapProcessor, recipe: TrainingRecipe, directory: Path
) -> None:
    """Write a model directory whole: beside its place first, then renamed."""
    temporary = directory.with_name(f".{directory.name}.{os.getpid()}.tmp")
    shutil.rmtree(temporary, ignore_errors=True)
    model.save_pretrained(str(temporary))
    processor.save_pretrained(temporary)
    (temporary / RECIPE_FILE).write_text(json.dumps(recipe.to_dict(), indent=2) + "\n", encoding="utf-8")
    previous = directory.with_name(f".{directory.name}.{os.getpid()}.old")
    if directory.exists():
        directory.rename(previous)
    temporary.rename(directory)
    shutil.rmtree(previous, ignore_errors=True)


def write_line(log: TextIO, fields: dict[str, float]) -> None:
    """One JSON line, readable while training goes on."""
    log.write(json.dumps({name: round(value, 6) for name, value in fields.items()}) + "\n")
    log.flush()


def smoothed(losses: list[float], window: int = 20) -> float:
    """The mean of the last few losses."""
    recent = losses[-window:]
    return sum(recent) / len(recent)


def keep_freed_memory() -> None:
    """Tell glibc to keep freed memory instead of returning it to the system.

    Activations of a CPU step are large blocks that are freed and taken again every step; by default each comes from
    ``mmap`` and its pages are cleared anew, which costs more than the arithmetic of a tiny model. Does nothing
    without glibc.
    """
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        trim_threshold, mmap_threshold = -1, -3
        mallopt(mmap_threshold, 1 << 30)
        mallopt(trim_threshold, (1 << 31) - 1)
