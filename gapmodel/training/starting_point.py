"""The model that a run starts from: random weights of the tiny preset, public checkpoints, or an earlier run."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gapdata.errors import UsageError
from gapdata.recipes.typed_fields import from_mapping
from gapdata.runtime.choices import check_choice
from gapdata.shards.records import Records
from gapdata.tasks import detection, image_space, pointmap
from gapdata.tasks.chat import IMAGE
from gapdata.tasks.labels import object_label
from gapdata.tasks.questions import questions
from gapmodel.geometry import ENCODERS
from gapmodel.model_directory import RECIPE_FILE, model_directory
from gapmodel.modeling import GapConfig, GapForConditionalGeneration
from gapmodel.presets import QWEN_TOKENS, preset
from gapmodel.processing import GapProcessor, ProcessorConfig, read_processor_config
from gapmodel.questions.options import question_options
from gapmodel.questions.recipe import DataRecipe, spatial_types
from gapmodel.questions.records import chosen_records
from gapmodel.questions.spatial import looked_at, survey_types
from gapmodel.tokenizer import load_tokenizer, special_token_ids, train_tokenizer
from gapmodel.training.recipe import ModelRecipe, TrainingRecipe

Builds = Mapping[str, Records]


def first_model(builds: Builds, recipe: TrainingRecipe) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Return the recipe's model before its first step, and its processor.

    Raises:
        UsageError: the preset is unknown, a public one lacks the weights to start from, or the geometry encoder cuts
            images into other patches than the processor.
    """
    random = recipe.model.preset == "tiny" or recipe.model.random
    model, processor = _random_model(builds, recipe) if random else _public_model(recipe)
    patch, given = model.model.geometry.patch_size, recipe.processor.geometry_patch_size
    if patch != given:
        raise UsageError(
            f"geometry encoder {model.config.geometry['name']} has patches of {patch} pixels, not of {given}",
            cure=f"give --set processor.geometry_patch_size={patch}",
        )
    return model, processor


def _public_model(recipe: TrainingRecipe) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Return a model of public weights."""
    chosen, described = recipe.model, model_config(recipe, QWEN_TOKENS, {})
    if not chosen.qwen or not chosen.geometry_weights:
        check_choice("geometry encoder", described.geometry["name"], ENCODERS)
        weights = ENCODERS[described.geometry["name"]].source or "of the geometry encoder"
        raise UsageError(
            f"preset {chosen.preset!r} starts from public weights",
            cure=f"give --set model.qwen=DIR (Qwen3-VL) and --set model.geometry_weights=FILE ({weights}), or --init",
        )
    if not Path(chosen.qwen).is_dir():
        raise UsageError(
            "is not a directory with Qwen3-VL in it",
            path=chosen.qwen,
            cure="download it first: `hf download Qwen/Qwen3-VL-2B-Instruct --local-dir DIR`, and give DIR",
        )
    model = GapForConditionalGeneration.from_base(
        chosen.qwen,
        described.geometry,
        fusion=chosen.fusion,
        merger_dim=described.merger_dim,
        geometry_weights=chosen.geometry_weights,
        dtype=torch.float32,
    )
    return model, GapProcessor(load_tokenizer(chosen.qwen), recipe.processor)


def as_started(recipe: TrainingRecipe, init: Path | None, given: Mapping[str, Any] | None = None) -> TrainingRecipe:
    """Return the recipe of a run that starts from a model, with that model's ``[processor]`` and ``[model]``.

    Args:
        recipe: what was asked for.
        init: the directory of the model or of its run; ``None`` for a run from the beginning, which keeps its recipe.
        given: the sections and fields that the user named and that the model has to agree with. Where this is not
            known (``None``), the fields of ``[processor]`` that differ from their defaults count.

    Raises:
        UsageError: the model differs in a named field, or there is no model.
    """
    if init is None:
        return recipe
    directory = model_directory(init)
    processor = read_processor_config(directory)
    has: dict[str, Any] = {"processor": asdict(processor)}
    told = directory / RECIPE_FILE
    if told.is_file():
        has["model"] = json.loads(told.read_text(encoding="utf-8")).get("model", {})
    plain = asdict(ProcessorConfig())
    whole = given is not None
    if given is None:
        named = {name: value for name, value in asdict(recipe.processor).items() if value != plain[name]}
        given = {"processor": named}
    for section, fields in has.items():
        named = {name: value for name, value in given.get(section, {}).items() if name != "lora"}
        _refuse_other(fields, named, section, init)
    recipe = replace(recipe, processor=processor)
    known = has.get("model") if whole else None
    if known is None:
        return recipe
    # Matrices of low rank are how a run trains. Those of the run before are merged into the model.
    return replace(recipe, model=replace(from_mapping(ModelRecipe, known), lora=recipe.model.lora))


def _refuse_other(has: Mapping[str, Any], given: Mapping[str, Any], where: str, init: Path) -> None:
    for name, value in given.items():
        kept = has.get(name)
        if isinstance(value, Mapping) and isinstance(kept, Mapping):
            _refuse_other(kept, value, f"{where}.{name}", init)
        elif _plain(value) != _plain(kept):
            raise UsageError(
                f"{where}.{name} = {_plain(value)!r} contradicts --init: the model there has {_plain(kept)!r}",
                path=init,
                cure=f"leave {where}.{name} out, or train from the beginning, without --init",
            )


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _random_model(builds: Builds, recipe: TrainingRecipe) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Return a model with random weights, and a tokenizer for the tasks' words and the builds' labels."""
    labels = sorted({*class_names(builds, recipe), *spoken_labels(builds, recipe)})
    box = detection.TextBox(
        label=labels[0] if labels else "object", values=(0.25, -1.5, 2.75, 1.0, 1.0, 1.0, -0.5, 0.5, 0.0)
    )
    answers = [pointmap.PointmapAnswer(point=(0.25, -1.5, 2.75), label=label) for label in (None, *labels)]
    texts = [
        *("user\n", "assistant\n", "<1.0 seconds>", pointmap.WITH_LABEL, pointmap.WITHOUT_LABEL),
        detection.PROMPT,
        *(image_space.TEXTS if any(stream.data.space == "image" for stream in recipe.streams) else ()),
        *(pointmap.answer_text(answer) for answer in answers),
        detection.answer_text([box, box]),
        *(text for stream in recipe.streams for text in spoken_texts(builds[stream.build], stream.data)),
    ]
    tokenizer = train_tokenizer(texts)
    words = {"vocab_size": len(tokenizer)} if recipe.model.preset == "tiny" else {}
    config = model_config(recipe, special_token_ids(tokenizer), words)
    return GapForConditionalGeneration(config), GapProcessor(tokenizer, recipe.processor)


def model_config(recipe: TrainingRecipe, token_ids: Mapping[str, int], text: Mapping[str, Any]) -> GapConfig:
    """Return the configuration of the recipe's model, with these special tokens and fields of the language model."""
    size, vision = recipe.processor, dict(recipe.model.vision)
    geometry = dict(recipe.model.geometry)
    if recipe.model.preset == "tiny":
        geometry = {"patch_size": size.geometry_patch_size} | geometry
        sizes = {"patch_size": size.patch_size, "temporal_patch_size": size.temporal_patch_size}
        vision = {**sizes, "spatial_merge_size": size.merge_size} | vision
    return preset(
        recipe.model.preset,
        token_ids=token_ids,
        fusion=recipe.model.fusion,
        text={**text, **recipe.model.text},
        geometry=geometry,
        vision=vision,
    )


def spoken_texts(reader: Records, data: DataRecipe) -> list[str]:
    """Return the texts of questions beyond those of pointmap and detection, which every tokenizer is taught."""
    if data.task in (pointmap.TASK.name, detection.TASK.name):
        return []
    if spatial_types(data):
        return list(survey_types(reader, looked_at(chosen_records(reader, data), data), data).texts)
    options, rng = question_options(data), np.random.default_rng(0)
    records = (reader.without_images(index) for index in chosen_records(reader, data))
    asked = [item for record in records for item in questions(record, data.task, options, rng)]
    return [text for question in asked for text in (*question.text.split(IMAGE), question.answer)]


def spoken_labels(builds: Builds, recipe: TrainingRecipe) -> list[str]:
    """Return the names of objects in the answers of streams that name them by a taxonomy, sorted."""
    found: set[str | None] = set()
    for stream in recipe.streams:
        if stream.data.taxonomy:
            options = question_options(stream.data)
            reader = builds[stream.build]
            for index in chosen_records(reader, stream.data):
                record = reader.without_images(index)
                found |= {object_label(item, options.taxonomy, options.missing_label) for item in record.objects}
    return sorted(label for label in found if label is not None)


def class_names(builds: Builds, recipe: TrainingRecipe) -> list[str]:
    """Return all labels of the recipe's records, sorted."""
    found: set[str] = set()
    for build, split, view in sorted({(s.build, s.data.split, s.data.view) for s in recipe.streams}):
        for index in chosen_records(builds[build], DataRecipe(split=split, view=view)):
            found |= {item.label for item in builds[build].without_images(index).objects}
    return sorted(found)
