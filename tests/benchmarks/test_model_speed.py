"""The 2b preset at full size with random weights on a GPU: time, tokens per second and memory of forward and backward.

Everything is measured against stock Qwen3-VL of the same size without geometry, in the same run. `make bench` runs it
where there is a GPU; elsewhere the same code runs at toy size, so that it does not rot, and its figures mean nothing.

    GAP_BENCH_PRESET=4b python -m pytest tests/benchmarks/test_model_speed.py -s
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import pytest
import torch
from transformers.models.qwen3_vl import Qwen3VLConfig, Qwen3VLForConditionalGeneration

from gapmodel.modeling import GapConfig, GapForConditionalGeneration
from gapmodel.packing import Frames
from gapmodel.presets import QWEN_TOKENS, preset
from gapmodel.processing import ProcessorConfig

REPEATS = 5
ANSWER = 40  # tokens of text after the frames that a loss is taken at
Model: TypeAlias = "GapForConditionalGeneration | Qwen3VLForConditionalGeneration"


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """Medians over the repeats."""

    forward: float  # s
    backward: float  # s, forward not included
    peak: float  # GiB beyond nothing: weights, gradients, activations
    parts: dict[str, float]  # s of the forward pass spent in each part


def sample(frames: int, config: GapConfig, device: str) -> dict[str, torch.Tensor]:
    """One question about random frames of 512 x 384 (a few patches in the toy)."""
    vision, geometry = config.vision_config, config.geometry
    rows, columns = (24, 32) if vision.hidden_size > 256 else (4, 4)
    processor = ProcessorConfig(
        image_size=(columns * 16, rows * 16), geometry_patch_size=geometry.get("patch_size", 14)
    )
    side = processor.geometry_patch_size
    generator = np.random.default_rng(0)
    view = Frames(
        pixel_values=generator.standard_normal(
            (frames * rows * columns, 3 * vision.temporal_patch_size * 256), dtype=np.float32
        ),
        geometry_images=generator.random((frames, 3, rows * side, columns * side), dtype=np.float32),
        grid=(rows, columns),
    )
    visual = [QWEN_TOKENS["vision_start"], *[QWEN_TOKENS["image"]] * processor.tokens_per_frame]
    ids = torch.tensor([[*[*visual, QWEN_TOKENS["vision_end"]] * frames, *range(1000, 1000 + ANSWER)]])
    inputs = {
        "input_ids": ids,
        "mm_token_type_ids": (ids == QWEN_TOKENS["image"]).int(),
        "pixel_values": torch.from_numpy(view.pixel_values),
        "image_grid_thw": torch.tensor([[1, rows, columns]] * frames),
        "geometry_images": torch.from_numpy(view.geometry_images)[None],
    }
    return {name: value.to(device) for name, value in inputs.items()}


def stock_of(config: GapConfig) -> Qwen3VLConfig:
    """The configuration of the same model without geometry."""
    names = ("image_token_id", "video_token_id", "vision_start_token_id", "vision_end_token_id", "tie_word_embeddings")
    return Qwen3VLConfig(
        text_config=config.text_config.to_dict(),
        vision_config=config.vision_config.to_dict(),
        **{name: getattr(config, name) for name in names},
    )


def build(make: Callable[[], Model], device: str, dtype: torch.dtype) -> Model:
    """A model with random weights on its device, initialised there; the encoders frozen, checkpointing on."""
    with torch.device(device):
        model = make().to(dtype).train()
    if isinstance(model, GapForConditionalGeneration):
        model.model.freeze(["visual", "geometry"])
    else:
        model.model.visual.requires_grad_(False).eval()
    model.activation_checkpointing_enable()
    return model


@contextmanager
def timed_parts(model: Model, seconds: dict[str, float], wait: Callable[[], None]) -> Iterator[None]:
    """Add up the time of each part's calls; the device is waited for at its borders, so passes are a little slower."""
    started: dict[str, float] = {}
    hooks = []

    def begin(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            wait()
            started[name] = time.perf_counter()

        return hook

    def end(name: str) -> Callable[..., None]:
        def hook(*_: object) -> None:
            wait()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - started[name]

        return hook

    modules = {name: getattr(model.model, name, None) for name in ("visual", "geometry", "language_model")}
    parts = {name: [module] for name, module in modules.items() if module is not None} | {"head": [model.lm_head]}
    if isinstance(model, GapForConditionalGeneration):
        parts["fusion"] = list(model.model.fusion)
    for name, members in parts.items():
        for module in members:
            hooks += [module.register_forward_pre_hook(begin(name)), module.register_forward_hook(end(name))]
    try:
        yield
    finally:
        for handle in hooks:
            handle.remove()


def measure(model: Model, inputs: dict[str, torch.Tensor], device: str) -> Figures:
    """Training passes on one sample: answer-only logits, gradients of all that is trained."""
    cuda = device == "cuda"
    wait: Callable[[], None] = torch.cuda.synchronize if cuda else (lambda: None)
    if not isinstance(model, GapForConditionalGeneration):
        inputs = {name: value for name, value in inputs.items() if name != "geometry_images"}
    forwards, backwards = [], []
    if cuda:
        torch.cuda.reset_peak_memory_stats()
    for _ in range(REPEATS + 1):
        model.zero_grad(set_to_none=True)
        wait()
        start = time.perf_counter()
        loss = model(**inputs, logits_to_keep=ANSWER, use_cache=False).logits.float().logsumexp(-1).mean()
        wait()
        middle = time.perf_counter()
        loss.backward()
        wait()
        forwards.append(middle - start)
        backwards.append(time.perf_counter() - middle)
    peak = torch.cuda.max_memory_allocated() / 2**30 if cuda else 0.0
    parts: dict[str, float] = {}
    with timed_parts(model, parts, wait), torch.no_grad():
        model(**inputs, logits_to_keep=ANSWER, use_cache=False)
    model.zero_grad(set_to_none=True)
    return Figures(
        forward=statistics.median(forwards[1:]), backward=statistics.median(backwards[1:]), peak=peak, parts=parts
    )


def table(rows: dict[str, Figures], tokens: int) -> str:
    """Figures of both models and their ratios."""
    stock, gap = rows["stock"], rows["gap"]
    lines = [f"{'':8}{'forward':>10}{'backward':>10}{'tokens/s':>10}{'peak GiB':>10}"]
    for name, figures in rows.items():
        total = figures.forward + figures.backward
        lines.append(
            f"{name:8}{figures.forward * 1e3:8.1f}ms{figures.backward * 1e3:8.1f}ms"
            f"{tokens / total:10.0f}{figures.peak:10.2f}"
        )
    total = (gap.forward + gap.backward) / (stock.forward + stock.backward)
    peak = f"{gap.peak / stock.peak:9.2f}x" if stock.peak else ""
    ratios = (gap.forward / stock.forward, gap.backward / stock.backward, 1 / total)
    lines.append(f"{'ratio':8}" + "".join(f"{ratio:9.2f}x" for ratio in ratios) + peak)
    for name, figures in rows.items():
        spent = ", ".join(f"{part} {seconds * 1e3:.1f} ms" for part, seconds in figures.parts.items())
        lines.append(f"{name} forward by part: {spent}")
    return "\n".join(lines)


def run(config: GapConfig, device: str, dtype: torch.dtype, counts: tuple[int, ...]) -> dict[int, dict[str, Figures]]:
    """Both models on each number of frames, one model in memory at a time."""
    makers: dict[str, Callable[[], Model]] = {
        "stock": lambda: Qwen3VLForConditionalGeneration(stock_of(config)),
        "gap": lambda: GapForConditionalGeneration(config),
    }
    figures: dict[int, dict[str, Figures]] = {count: {} for count in counts}
    for name, make in makers.items():
        model = build(make, device, dtype)
        for count in counts:
            figures[count][name] = measure(model, sample(count, config, device), device)
        del model
        if device == "cuda":
            torch.cuda.empty_cache()
    for count in counts:
        tokens = sample(count, config, "cpu")["input_ids"].numel()
        print(f"\n{count} frames, {tokens} tokens\n{table(figures[count], tokens)}")
    return figures


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_training_step_with_geometry_against_stock_qwen() -> None:
    figures = run(preset(os.environ.get("GAP_BENCH_PRESET", "2b")), "cuda", torch.bfloat16, (4, 32))
    assert all(np.isfinite([each.forward, each.backward]).all() for pair in figures.values() for each in pair.values())


def test_the_benchmark_itself_runs() -> None:
    sizes = {"vocab_size": QWEN_TOKENS["video"] + 1, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2}
    config = preset("tiny", text=sizes | heads, vision={"hidden_size": 48, "intermediate_size": 64, "depth": 3})
    figures = run(config, "cpu", torch.float32, (1, 2))
    assert set(figures[2]["gap"].parts) == {"visual", "geometry", "fusion", "language_model", "head"}
    assert set(figures[2]["stock"].parts) == {"visual", "language_model", "head"}
