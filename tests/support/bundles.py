"""A small model with VGGT's key names, as training writes it, and what is needed to load its bundle elsewhere."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from gapdata.tasks.pointmap import WITH_LABEL
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.processing import GapProcessor, ProcessorConfig
from gapmodel.tokenizer import load_tokenizer
from tests.conftest import REPOSITORY
from tests.support.weights import write_qwen, write_vggt

SIZES = {"embed_dim": 32, "depth": 4, "num_heads": 2, "levels": [0, 1, 2, 3], "patch_embed": "conv"}
TEXT = WITH_LABEL
MARK = (40, 20)


def write_model(folder: Path) -> Path:
    """A model directory under ``folder``, with the public files that it was made from beside it.

    Its norms and gates are moved away from where they start, so that geometry matters.
    """
    qwen, vggt = folder / "Qwen3-VL-2B-Instruct", folder / "VGGT-1B"
    write_qwen(qwen)
    write_vggt(vggt)
    model = GapForConditionalGeneration.from_base(qwen, {"name": "vggt", **SIZES}, geometry_weights=vggt)
    torch.manual_seed(5)
    for parameter in model.model.fusion.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    config = ProcessorConfig(image_size=(96, 64), geometry_patch_size=14, mark_native_width=256.0)
    out = folder / "model"
    model.config.taught = ["pointmap"]
    model.save_pretrained(str(out))
    GapProcessor(load_tokenizer(qwen), config).save_pretrained(out)
    recipe = {"model": {"preset": "2b", "qwen": str(qwen), "geometry_weights": str(vggt)}, "data": {"frames": 2}}
    (out / "recipe.json").write_text(json.dumps(recipe))
    return out


def write_frames(folder: Path) -> list[Path]:
    """Two frames of noise, 120x80."""
    paths = [folder / f"{index}.jpg" for index in range(2)]
    for index, path in enumerate(paths):
        Image.fromarray(np.random.default_rng(index).integers(0, 256, (80, 120, 3), dtype=np.uint8)).save(path)
    return paths


def pixels(paths: list[Path]) -> list[np.ndarray[Any, np.dtype[np.uint8]]]:
    """The frames as arrays."""
    return [np.asarray(Image.open(path).convert("RGB")) for path in paths]


def stranger(home: Path) -> dict[str, str]:
    """The environment of a process that has transformers' caches of its own, and no network."""
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONSTARTUP")}
    own = {"HF_HOME": str(home), "HF_MODULES_CACHE": str(home / "modules"), "HF_HUB_OFFLINE": "1"}
    return {**kept, **own, "TRANSFORMERS_VERBOSITY": "error"}


def run_fresh(task: dict[str, Any], folder: Path) -> dict[str, Any]:
    """What :mod:`tests.support.fresh_process` finds, run in ``folder``."""
    (folder / "task.json").write_text(json.dumps(task))
    script = REPOSITORY / "tests" / "support" / "fresh_process.py"
    done = subprocess.run(
        [sys.executable, "-I", str(script), "task.json", "found.json"],
        cwd=folder,
        env=stranger(folder / "home"),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads((folder / "found.json").read_text())
    return found
