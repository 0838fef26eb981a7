"""What the full size takes, projected: all of ScanNet through a recipe, and both kinds of cost of training on it.

`make bench` prints this on any machine, in seconds: plans are made of scans of the average length by the recipe's own
rules, bytes and CPU time follow from the model behind `--dry-run`, arithmetic and memory of training from the model's
parameters. Nothing of it was measured at that size; assumptions stand in capitals below and in what is printed.
"""

from __future__ import annotations

import os
import resource
from pathlib import Path

import numpy as np
import pytest
import torch

from gapdata.annotations.scene_annotations import SceneAnnotations
from gapdata.engine.estimate import expected_bytes, expected_seconds
from gapdata.engine.plan import ScenePlan
from gapdata.engine.plan_views import plan_views
from gapdata.engine.recipe import Recipe, read_recipe
from gapdata.recipes.recipe_files import recipe_file
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapmodel.modeling import GapForConditionalGeneration
from gapmodel.presets import preset
from gapmodel.training.recipe import read_training_recipe
from gapmodel.training.throughput import PEAK_FLOPS, Arithmetic

TRAIN, VAL, FRAMES = 1201, 312, 2_500_000 // 1513
"""Annotated scans of ScanNet by its split files, and the frames of an average one (its README: 2.5 million views)."""
WORDS = 120
"""Tokens of a question about a pixel and its answer, beside the visual ones."""
ANSWER = 40
"""Of these, tokens of the answer."""
GPU, MFU = "H100", 0.3
"""The share of a GPU's products that training is assumed to reach: an assumption, and no measurement."""
CORE_HOUR, GPU_HOUR = (float(os.environ.get(name, price)) for name, price in (("CORE_PRICE", 0.05), ("GPU_PRICE", 3.0)))
"""Prices of an hour, as examples: set CORE_PRICE and GPU_PRICE to yours."""


def average_scan(recipe: Recipe, split: str) -> ScenePlan:
    """The plan of a scan of average length, all of whose poses are valid."""
    scene = "scene0000_00"
    usable = np.ones(FRAMES, dtype=bool)
    views = plan_views(scene, usable, recipe, SceneAnnotations(scene_id=scene), evaluation=split != "train")
    return ScenePlan(
        scene_id=scene,
        split=split,
        source_kind="sens",
        digest="",
        frame_count=FRAMES,
        lost_tracking=0,
        keys=tuple(view.key for view in views),
        view_frames=sum(len(view.frame_ids) for view in views),
    )


def test_what_all_of_scannet_takes() -> None:
    recipe = read_recipe(Path("scannet-pretrain"))
    scans = [average_scan(recipe, split) for split, count in (("train", TRAIN), ("val", VAL)) for _ in range(count)]
    size, hours = expected_bytes(scans, recipe), expected_seconds(scans, recipe) / 3600
    records = sum(len(scan.keys) for scan in scans)
    print(
        f"\nprojected, scannet-pretrain over the {len(scans)} annotated scans: {records} records, {size / 1e9:.0f} GB, "
        f"{hours:.1f} core-hours ({hours / 16:.1f} h on 16 cores; at a price of {CORE_HOUR:g} a core-hour "
        f"{hours * CORE_HOUR:.2f}), within a factor of two"
    )
    assert 1 < hours < 1000
    assert 1e10 < size < 1e13


@pytest.mark.parametrize("size", ["2b"])
def test_what_full_size_training_takes(size: str) -> None:
    training = read_training_recipe(recipe_file(Path("train-pretrain")))
    with torch.device("meta"):
        model = GapForConditionalGeneration(preset(size))
    model.model.freeze(training.train.freeze)
    work, processor = Arithmetic(model), training.processor
    rows, columns = processor.image_size[1] // 16, processor.image_size[0] // 16
    frames = training.data.frames
    visual = frames * processor.tokens_per_frame
    tokens = visual + WORDS
    flops = frames * rows * columns * (work.patch + work.visual / work.merge)
    flops += tokens * work.token + ANSWER * work.answer + tokens * tokens * work.pair
    build = read_recipe(Path("scannet-pretrain"))
    clips = sum("-clip-" in key for key in average_scan(build, "train").keys)
    questions = TRAIN * clips * build.prompts.per_view
    hours = questions * flops / (PEAK_FLOPS[GPU] * MFU) / 3600
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    frozen = sum(p.numel() for p in model.parameters() if not p.requires_grad)
    # float32 weights, gradients and two moments of what is trained; of the frozen the weights alone.
    state = (16 * trained + 4 * frozen) / 2**30
    peak = PEAK_FLOPS[GPU]
    print(
        f"\nprojected, train-pretrain ({size}): {questions / 1e6:.1f} million questions of {tokens} tokens, "
        f"{flops / 1e12:.1f} TFLOP each: {hours:.0f} hours of one {GPU} at {MFU:.0%} of its {peak / 1e12:.0f} TFLOP/s "
        f"({hours / 8:.0f} h on 8; at a price of {GPU_HOUR:g} a GPU-hour {hours * GPU_HOUR:.0f})"
        f"\n  weights, gradients and moments: {state:.0f} GiB on one GPU ({trained / 1e9:.2f} of "
        f"{(trained + frozen) / 1e9:.2f} billion weights are trained); activations come on top"
        f"\n  disk: {4 * (trained + frozen) / 1e9:.0f} GB a model directory, {12 * trained / 1e9:.0f} GB a checkpoint"
    )
    assert 1 < hours < 100_000


def test_what_synthetic_scans_take(tmp_path: Path) -> None:
    frames, size = 12, (648, 484)
    before = resource.getrusage(resource.RUSAGE_SELF)
    synthesise_dataset(tmp_path / "scans", SynthesisOptions(scenes=1, frames=frames, color_size=size), workers=1)
    after = resource.getrusage(resource.RUSAGE_SELF)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    written = sum(path.stat().st_size for path in tmp_path.rglob("*") if path.is_file())
    print(
        f"\nsynth: {cpu / frames:.2f} CPU seconds and {written / frames / 1e6:.2f} MB a frame of {size[0]}x{size[1]}, "
        "the room itself included"
    )
