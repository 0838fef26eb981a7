"""A build of one room, its questions, and a tiny model that has learnt some of their answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gapdata.records.schema import SceneLabel
from gapdata.shards.reader import ShardReader
from gapdata.tasks.predictions import Asking
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.run import asked_tasks
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.presets import preset
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from tests.support.builds import write_build
from tests.support.geometry_models import learn
from tests.support.showing import room_record

FRAMES, STEPS = 9, 30


def frames(count: int, size: tuple[int, int] = (96, 64), seed: int = 0) -> list[NDArray[np.uint8]]:
    """Noise with a coarse pattern, (H, W, 3) RGB each."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
    rows, columns = np.arange(size[1]) * 4 // size[1], np.arange(size[0]) * 4 // size[0]
    return list(coarse[:, rows][:, :, columns])


@pytest.fixture(scope="module")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    room = room_record(FRAMES, (320, 240), aligned=True)
    labels = tuple(SceneLabel(labels=item.labels, count=1) for item in room.objects)
    return write_build(tmp_path_factory.mktemp("harness") / "build", [replace(room, scene_objects=labels, split="val")])


@pytest.fixture(scope="module")
def asked(build: Path) -> list[TaskQuestions]:
    """All spatial questions of the build, as ``gapmodel evaluate`` asks them."""

    def asking(task: str) -> Asking:
        return Asking(split="val", language_view="scene", options=QuestionOptions())

    return asked_tasks(ShardReader(build), asking, ["spatial"])


@pytest.fixture(scope="module")
def model(build: Path, asked: Sequence[TaskQuestions]) -> Path:
    """A directory whose model answers some of these questions rightly, and others with numbers and letters."""
    torch.manual_seed(0)
    items = [item for task in asked for item in task.asked]
    tokenizer = train_tokenizer([item.question.text for item in items])
    config = preset(
        "tiny",
        token_ids=special_token_ids(tokenizer),
        fusion="add",
        text={"vocab_size": len(tokenizer), "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2}
        | {"num_attention_heads": 2, "num_key_value_heads": 2},
        geometry={"width": 32, "heads": 2},
        vision={"hidden_size": 48, "intermediate_size": 96},
    )
    net = GapForConditionalGeneration(config)
    processor = GapProcessor(tokenizer, ProcessorConfig(image_size=(64, 32), temporal_patch_size=1))
    record = ShardReader(build)[0]
    images = [record.image(frame) for frame in range(FRAMES)]
    learn(net, processor.collate([processor.encode(i.key, images, i.question, with_answer=True) for i in items]), STEPS)
    folder = build.parent / "model"
    net.save_pretrained(str(folder))
    processor.save_pretrained(folder)
    (folder / "recipe.json").write_text(json.dumps({"data": {"task": "spatial", "view": "scene", "frames": FRAMES}}))
    return folder
