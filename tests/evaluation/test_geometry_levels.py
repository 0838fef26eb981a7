"""The figures of fusion levels: gates and moved tokens, for our models and for checkpoints of the authors."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from gapdata.shards.records import RecordList
from gapdata.tasks.predictions import Asking
from gapmodel.audit.levels import level_figures, one_a_view
from gapmodel.evaluation.answering import Answerer
from gapmodel.evaluation.asking import task_questions
from gapmodel.evaluation.run import asking_of
from gapmodel.gap_mllm import load_gap_mllm
from gapmodel.inspection.geometry_treatments import CHANGES, Treatment, model_streams, treated
from gapmodel.model_directory import load_model
from gapmodel.processing import AUTHORS, GapProcessor
from gapmodel.tokenizer import train_tokenizer
from tests.model.test_checkpoints import gap_mllm as gap_mllm
from tests.model.test_vggt import SMALL
from tests.support.evaluations import write_model
from tests.support.models import make_record

RECORDS = RecordList([make_record(seed, split="val", prompts=2) for seed in range(3)])
QUESTIONS = [task_questions(RECORDS, Asking(), "pointmap")]
STRANGE = Treatment(change="strange")
STREAMS = ("deepstack.0", "deepstack.1", "deepstack.2", "final")


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_model(tmp_path_factory.mktemp("levels") / "model", {"task": "pointmap"})


def test_gates_and_moved_tokens_are_those_of_the_model(directory: Path) -> None:
    model, processor = load_model(directory)
    model.eval()
    with torch.no_grad():
        for level, bias in zip(model.model.fusion, (-9.0, 0.0, 9.0, 40.0), strict=True):
            gate = level.get_submodule("fuse.gate")
            assert isinstance(gate, torch.nn.Linear)
            gate.weight.zero_()
            gate.bias.fill_(bias)
    asked = one_a_view(QUESTIONS)
    assert [item.index for item in asked] == [0, 1, 2]
    found = level_figures(model, processor, RECORDS, asked, STRANGE)
    assert [level.stream for level in found] == list(STREAMS) == list(model_streams(directory))
    assert [level.gate for level in found] == pytest.approx([0.000123, 0.5, 0.999877, 1.0], abs=1e-6)
    assert [level.gate_spread for level in found] == pytest.approx([0.0] * 4, abs=1e-6)
    assert {level.gate_of for level in found} == {"vision"}
    moved = [level.moved for level in found]
    assert moved == sorted(moved, reverse=True)
    assert moved[0] > 0.1
    assert moved[3] == 0.0  # the gate is 1 to the last bit: a model that was built to ignore geometry


def test_a_checkpoint_of_the_authors_is_treated_level_by_level(gap_mllm: tuple[Path, dict[str, Tensor]]) -> None:
    directory, _ = gap_mllm
    model, _ = load_gap_mllm(directory, geometry=SMALL | {"depth": 4})
    processor = GapProcessor(train_tokenizer(["chair"]), AUTHORS)
    assert model_streams(directory) == STREAMS == tuple(model.model.streams)
    asked = one_a_view(QUESTIONS)[:1]
    found = level_figures(model, processor, RECORDS, asked, STRANGE)
    assert all(level.moved > 0 for level in found)
    answerer = Answerer(model=model, processor=processor, reader=RECORDS, treatment=STRANGE, bar=False)
    examples = [answerer.example(item) for item in asked]
    inputs = processor.collate(examples).inputs
    for change in CHANGES:
        strange = [torch.from_numpy(answerer.strange_frames(asked[0], len(examples[0].frames.geometry_images)))]
        given = treated(model, inputs, Treatment(change=change), strange)
        given |= {"input_ids": torch.where(inputs["mm_token_type_ids"] == 1, model.config.image_token_id, 7)}
        with torch.no_grad():
            assert torch.isfinite(model(**given).logits).all()


def test_a_checkpoint_of_the_authors_is_asked_in_their_words(gap_mllm: tuple[Path, dict[str, Tensor]]) -> None:
    directory, _ = gap_mllm
    for task, view in (("pointmap", "clip"), ("detection", "clip"), ("grounding_two_stage", "scene")):
        asking = asking_of(directory, task, "val")
        assert asking.options.wording == "gap"
        assert (asking.language_view if view == "scene" else asking.view) == view
    assert asking_of(directory, "distance", "val").split == "val"
