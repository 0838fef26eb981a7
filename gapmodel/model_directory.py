"""Model directories: the files that ``from_pretrained`` loads, and the processor beside them."""

from __future__ import annotations

from pathlib import Path

from gapdata.errors import UsageError
from gapmodel.checkpoints import read_json
from gapmodel.gap_mllm import load_gap_mllm
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import AUTHORS, FILE, GapProcessor
from gapmodel.tokenizer import load_tokenizer

MODEL_DIRECTORY = "model"
RUN_FILE = "run.json"
RECIPE_FILE = "recipe.json"
"""The recipe of the training run that wrote a model, in the model's directory."""


def model_directory(directory: Path) -> Path:
    """Return the model directory: ``directory`` itself, or the one inside a run's directory.

    Raises:
        UsageError: there is no model.
    """
    found = directory / MODEL_DIRECTORY if (directory / MODEL_DIRECTORY).is_dir() else directory
    if not (found / "config.json").is_file() and (directory / RUN_FILE).is_file():
        raise UsageError(
            "this run has not written its model yet",
            path=directory,
            cure="the command that started it goes on where it stopped; the model is written at its end",
        )
    if not (found / "config.json").is_file():
        raise UsageError("no model here", path=directory, cure="name a model directory, or the --out of a training run")
    return found


def load_model(directory: Path) -> tuple[GapForConditionalGeneration, GapProcessor]:
    """Read a model and its processor from a model directory, a run's directory, or a checkpoint of the authors.

    The authors' checkpoints get their preprocessing and their prompts (:data:`gapmodel.processing.AUTHORS`).
    """
    found = model_directory(directory)
    if not (found / FILE).is_file() and read_json(found / "config.json").get("use_geometry_encoder"):
        return load_gap_mllm(found)[0], GapProcessor(load_tokenizer(found), AUTHORS)
    return GapForConditionalGeneration.from_pretrained(str(found)), GapProcessor.from_pretrained(found)
