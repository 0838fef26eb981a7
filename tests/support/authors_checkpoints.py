"""A small checkpoint in the form of the authors' trainer, with a tokenizer that knows the words of their prompts."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest
import torch

from gapdata.tasks import captioning, detection, grounding, grounding_box, grounding_frame, pointmap
from gapmodel.gap_mllm import load_gap_mllm
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.tokenizer import special_token_ids, train_tokenizer
from tests.model.test_checkpoints import TEXT, stock_config, write_authors
from tests.model.test_vggt import SMALL

GEOMETRY = SMALL | {"depth": 4}


def write_checkpoint(folder: Path) -> Path:
    """Write config.json, two shards of random weights and the tokenizer."""
    folder.mkdir(parents=True)
    tokenizer = train_tokenizer(
        [pointmap.WITH_LABEL, detection.PROMPT, grounding.OURS, captioning.PROMPT, grounding_box.INSTRUCTION,
         grounding_frame.THEIRS, "You are a helpful assistant."]
    )  # fmt: skip
    ids = special_token_ids(tokenizer)
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id")
    tokens = {name: ids[name.removesuffix("_token_id")] for name in names}
    text = TEXT | {"vocab_size": len(tokenizer)}
    config = stock_config()
    for name, value in tokens.items():
        setattr(config, name, value)
    config.text_config.vocab_size = len(tokenizer)
    torch.manual_seed(0)
    geometry = {"name": "vggt", **GEOMETRY, "levels": [0, 1, 2, 3]}
    model = GapForConditionalGeneration.from_base(config, geometry, merger_dim=40)
    ours = {name: tensor.clone() for name, tensor in model.state_dict().items() if name != "lm_head.weight"}
    write_authors(folder, ours, text_config=text, **tokens)
    tokenizer.save_pretrained(str(folder))
    return folder


def load_small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Load released checkpoints with the size of VGGT that :func:`write_checkpoint` gives them."""
    small = functools.partial(load_gap_mllm, geometry=GEOMETRY)
    monkeypatch.setattr("gapmodel.model_directory.load_gap_mllm", small)
