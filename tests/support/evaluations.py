"""A held-out build with language, and a tiny untrained model, for the tests of evaluation."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from gapdata.geometry.boxes import box_corners
from gapdata.geometry.camera import transform
from gapdata.records.expressions import Expression
from gapdata.records.schema import Record, ViewObject
from gapdata.tasks import captioning, detection, grounding, pointmap
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from tests.support.models import make_record


def clip(seed: int, split: str) -> Record:
    """Two frames with prompts and objects."""
    return make_record(seed, split=split, prompts=4)


def scene_view(seed: int, split: str) -> Record:
    """Four frames of the same kind of room with aligned boxes, proposals and descriptions of every object."""
    record = make_record(seed, frames=4, split=split, prompts=0)
    objects = tuple(_aligned(record, item, index) for index, item in enumerate(record.objects))
    said = [
        Expression(
            object_id=item.object_id,
            ann_id=str(number),
            object_name=item.label,
            text=f"the {item.label} number {item.object_id}, seen {word}.",
            unique=number == 0,
        ).to_fields()
        for item in objects
        for number, word in enumerate(("well", "badly"))
    ]
    return replace(
        record,
        key=f"{record.scene_id}-scene-0",
        view="scene",
        axis_alignment=np.eye(4),
        objects=objects,
        expressions=tuple(said),
    )


def _aligned(record: Record, item: ViewObject, index: int) -> ViewObject:
    corners = transform(record.camera_to_world[0], box_corners(item.center, item.size, item.rotation))
    low, high = corners.min(axis=0), corners.max(axis=0)
    proposal = None
    if index:  # the first object was not found by the detector
        proposal = {
            "center": list(item.center),
            "size": list(item.size),
            "rotation": [list(row) for row in item.rotation],
            "iou": 0.3 if index == 1 else 0.8,
        }
    return replace(item, aligned_box=(*(low + high) / 2, *(high - low)), proposal=proposal)


def make_records() -> list[Record]:
    """One scene to learn from and two held out, a clip and a scene view each."""
    scenes = [(0, "train"), (1, "val"), (2, "val")]
    return [view(seed, split) for seed, split in scenes for view in (clip, scene_view)]


def write_model(folder: Path, data: dict[str, object]) -> Path:
    """A tiny model with random weights that knows the tasks' words."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer(
        [pointmap.WITH_LABEL, detection.PROMPT, grounding.OURS, captioning.PROMPT, "the chair number 0, seen well."]
    )
    text = {"hidden_size": 32, "intermediate_size": 64, "num_attention_heads": 2, "num_key_value_heads": 2}
    config = preset(
        "tiny",
        token_ids=special_token_ids(tokenizer),
        fusion="gated",
        text={"vocab_size": len(tokenizer), **text},
        geometry={"width": 32, "heads": 2, "patch_size": 16},
        vision={"hidden_size": 48, "intermediate_size": 96, "patch_size": 16, "temporal_patch_size": 1},
    )
    model = GapForConditionalGeneration(config)
    processor = GapProcessor(tokenizer, ProcessorConfig(image_size=(64, 32), temporal_patch_size=1))
    folder.mkdir()
    model.save_pretrained(str(folder))
    processor.save_pretrained(folder)
    (folder / "recipe.json").write_text(json.dumps({"data": data}), encoding="utf-8")
    return folder
