"""Two models that know the same held-out answers by heart: one by geometry alone, the other by vision alone."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import torch
from torch import nn

from gapdata.records.schema import Record
from gapdata.tasks import pointmap
from gapdata.tasks.task import QuestionOptions
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.packing import Batch
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from gapmodel.training.learner import Learner
from tests.support.models import make_record

SCENES = 10
STEPS = 70
TEXT = {
    "hidden_size": 64,
    "intermediate_size": 128,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "num_hidden_layers": 2,
}


def known_records() -> list[Record]:
    """A clip with one mark of each scene."""
    return [make_record(seed, split="val", prompts=1) for seed in range(SCENES)]


def write_knowing_model(folder: Path, records: list[Record], *, by_geometry: bool) -> Path:
    """Write a model that has learnt the points of these records, and can see them in one way only."""
    model, processor = knowing_model(records, by_geometry=by_geometry)
    folder.mkdir(parents=True)
    model.save_pretrained(str(folder))
    processor.save_pretrained(folder)
    (folder / "recipe.json").write_text(json.dumps({"data": {"task": "pointmap"}}), encoding="utf-8")
    return folder


def knowing_model(
    records: list[Record], *, by_geometry: bool, steps: int = STEPS
) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """A model in evaluation mode that has learnt the points of these records in some steps."""
    torch.manual_seed(0)
    tokenizer = train_tokenizer([pointmap.WITH_LABEL, "chair table bed cabinet lamp plant"])
    config = preset(
        "tiny",
        token_ids=special_token_ids(tokenizer),
        fusion="add",
        text={"vocab_size": len(tokenizer), **TEXT},
        geometry={"width": 32, "heads": 2},
        vision={"hidden_size": 48, "intermediate_size": 96},
    )
    model = GapForConditionalGeneration(config)
    processor = GapProcessor(tokenizer, ProcessorConfig(image_size=(64, 32), temporal_patch_size=1))
    _blind(model, by_geometry=by_geometry)
    learn(model, questions(processor, records), steps)
    return model, processor


def questions(processor: GapProcessor, records: list[Record]) -> Batch:
    """All questions with their answers, as an evaluation puts them."""
    examples = []
    for record in records:
        images = [record.image(frame) for frame in range(len(record))]
        for prompt in record.prompts:
            question = pointmap.render(record, prompt, QuestionOptions(marks=1))
            examples.append(processor.encode(record.key, images, question, with_answer=True))
    return processor.collate(examples)


def learn(model: GapForConditionalGeneration, batch: Batch, steps: int = STEPS) -> None:
    """Learn the answers by heart; what was made blind stays blind."""
    model.model.freeze(("visual", "geometry"))
    learner = Learner(model.train())
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=6e-3, betas=(0.9, 0.99))
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 6e-3 * min(1.0, (step + 1) / 10) * (0.1 + 0.9 * np.cos(np.pi * step / steps / 2) ** 2)
        optimizer.zero_grad()
        loss = learner(batch).answer.mean()
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
    model.eval()


def _blind(model: GapForConditionalGeneration, *, by_geometry: bool) -> None:
    """Set the last layer of one side to 0 and keep it there: with fusion ``add`` only the other one is seen."""
    visual = model.model.visual
    last = [merger.linear_fc2 for merger in (visual.merger, *visual.deepstack_merger_list)]
    if not by_geometry:
        last = [level.get_submodule("merger.mlp.2") for level in model.model.fusion]
    for layer in last:
        for parameter in layer.parameters():
            nn.init.zeros_(parameter)
            parameter.register_hook(torch.zeros_like)
