"""The authors' inference view: frames and texts as their scripts give them, and scores of their checkpoints."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import smart_resize

from gapdata.tasks.chat import IMAGE, Mark, Question
from gapdata.tasks.grounding_box import INSTRUCTION
from gapdata.tasks.grounding_frame import THEIRS
from gapmodel.commands.main import main
from gapmodel.evaluation.asking import TOKENS
from gapmodel.evaluation.authors_view import MAX_PIXELS, MIN_PIXELS, AuthorsProcessor, authors_sizes, authors_text
from gapmodel.evaluation.predictions import read_answers
from gapmodel.processing import AUTHORS, GapProcessor
from gapmodel.tokenizer import train_tokenizer
from tests.evaluation.test_conversation_files import documented
from tests.support.authors_checkpoints import load_small, write_checkpoint
from tests.support.builds import write_build
from tests.support.evaluations import make_records, write_model


@pytest.fixture(scope="module")
def processor() -> AuthorsProcessor:
    return AuthorsProcessor(GapProcessor(train_tokenizer(["Detect the 3D bounding boxes"]), AUTHORS))


def frame(width: int, height: int, seed: int = 0) -> np.ndarray:
    """Smooth colours with some noise, as JPEG changes them visibly."""
    generator = np.random.default_rng(seed)
    coarse = generator.integers(0, 256, (6, 8, 3)).astype(np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def resized_by_hand(row: torch.Tensor, size: int) -> np.ndarray:
    """Enlarge the last axis by bicubic interpolation (a = -0.5, Pillow's filter), by its definition."""
    old, given = row.shape[-1], row.numpy().astype(np.float64)
    centres = (np.arange(size) + 0.5) * old / size
    out = np.empty((*given.shape[:-1], size))
    for index, centre in enumerate(centres):
        taps = np.arange(max(0, int(centre - 2 + 0.5)), min(old, int(centre + 2 + 0.5)))
        x = np.abs(taps + 0.5 - centre)
        near, far = 1.5 * x**3 - 2.5 * x**2 + 1, -0.5 * x**3 + 2.5 * x**2 - 4 * x + 2
        weights = np.where(x < 1, near, np.where(x < 2, far, 0.0))
        out[..., index] = (given[..., taps] * weights).sum(-1) / weights.sum()
    return out


@pytest.mark.parametrize(
    ("size", "tokens"),
    [((1296, 968), 221), ((640, 480), 221), ((256, 192), 221), ((1296, 960), 204), ((480, 640), 256)],
)
def test_frames_of_scannet_have_221_tokens_because_qwen_enlarges_small_ones(
    processor: AuthorsProcessor, size: tuple[int, int], tokens: int
) -> None:
    (rows, columns), enlarged = authors_sizes(*size, 16, 2)
    assert enlarged == smart_resize(rows, columns, factor=32, min_pixels=MIN_PIXELS, max_pixels=MAX_PIXELS)
    found = processor.look([frame(*size)])
    assert found.grid[0] * found.grid[1] // 4 == tokens
    assert found.geometry_images.shape == (1, 3, found.grid[0] * 14, found.grid[1] * 14)
    ids, _ = processor.token_sequence(Question(text=f"{IMAGE}?", answer=""), 1, tokens)
    assert ids.count(processor.token_ids["image"]) == tokens


def test_the_model_sees_the_pixels_of_their_scripts(processor: AuthorsProcessor) -> None:
    image, (u, v) = frame(1296, 968), (500, 300)
    marked = image.copy()
    marked[v - 10 : v + 11, u - 2 : u + 3] = marked[v - 2 : v + 3, u - 10 : u + 11] = (255, 0, 0)
    file = io.BytesIO()
    Image.fromarray(marked).save(file, format="JPEG")
    small = Image.open(file).convert("RGB").resize((518, 392), Image.Resampling.BICUBIC)
    tensor = torch.from_numpy(np.asarray(small).astype(np.float32) / 255).permute(2, 0, 1)
    wide = resized_by_hand(tensor, 544)
    tall = resized_by_hand(torch.from_numpy(wide).transpose(1, 2), 416).swapaxes(1, 2)
    look = processor.look([image], [Mark(frame=0, pixel=(u, v))])
    assert look.grid == (26, 34)
    # Patches in merge-block order back to an image: (rows, columns, 2, 2, C, T, 16, 16).
    blocks = look.pixel_values.reshape(13, 17, 2, 2, 3, 2, 16, 16)
    assert np.array_equal(blocks[:, :, :, :, :, 0], blocks[:, :, :, :, :, 1])
    seen = blocks[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, 416, 544)
    assert np.abs(seen - (tall - 0.5) / 0.5).max() < 1e-4
    assert seen.max() > 1.0  # the filter overshoots, and nothing cuts that off
    geometry = torch.nn.functional.interpolate(tensor[None], size=(26 * 14, 34 * 14), mode="bilinear")
    assert torch.equal(torch.from_numpy(look.geometry_images), geometry)
    unmarked = processor.look([image])
    assert np.abs(unmarked.pixel_values - look.pixel_values).max() > 0.5


def test_the_cross_does_not_shrink_with_the_image(processor: AuthorsProcessor) -> None:
    plain = np.full((480, 640, 3), 128, np.uint8)
    red = processor.look([plain], [Mark(frame=0, pixel=(320, 240))]).geometry_images[0]
    columns = np.flatnonzero((red[0] - red[1]).max(axis=0) > 0.3)
    assert 21 * 476 / 640 - 3 <= len(columns) <= 21 * 476 / 640 + 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{IMAGE}{IMAGE}Detect", f"{IMAGE}{IMAGE}Detect"),
        (f"{IMAGE}\n{IMAGE}\nDetect", f"{IMAGE}{IMAGE}\n\n\nDetect"),
        (f"{IMAGE}{IMAGE}\nCarefully", f"{IMAGE}{IMAGE}\n\nCarefully"),
        (f"{IMAGE}{IMAGE}{INSTRUCTION}", f"{IMAGE}{IMAGE}{IMAGE}{IMAGE}{INSTRUCTION}"),
        (
            f"Frame-0: {IMAGE}Frame-1: {IMAGE}\n{THEIRS}",
            f"Frame-0: {IMAGE}Frame-1: {IMAGE}" + "".join(f"Frame-{i}: {IMAGE}" for i in range(32)) + f"\n{THEIRS}",
        ),
    ],
)
def test_frames_come_before_the_text_which_keeps_its_line_breaks(text: str, said: str) -> None:
    assert authors_text(text, 2) == said


def test_a_released_checkpoint_reaches_scores_by_a_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    load_small(monkeypatch)
    checkpoint, build = write_checkpoint(tmp_path / "released"), write_build(tmp_path / "build", make_records())
    there = {"DIR": checkpoint, "shards": build, "scores": tmp_path / "out"}
    command = [str(there.get(word, word)) for word in documented("--shards")]
    tasks = ["--task", "detection,grounding_two_stage", "--limit", "1"]
    monkeypatch.setattr("gapmodel.evaluation.authors_view.MAX_TOKENS", 12)
    for kind in ("grounding_frame", "grounding_box"):
        monkeypatch.setitem(TOKENS, kind, 12)
    assert main([*command, *tasks, "--geometry", "zeroed", "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert said["view"]["name"] == "authors"
    assert "221 visual tokens" in said["view"]["frames"]
    assert (said["detection"]["views"], said["grounding_two_stage"]["questions"]) == (1, 1)
    assert set(said["geometry"]["tasks"]) == {"detection", "grounding_two_stage"}
    kept = json.loads((tmp_path / "out" / "asked.json").read_text())
    assert (kept["view"], kept["asking"]["detection"]["options"]["wording"]) == ("authors", "gap")
    answers = read_answers(tmp_path / "out")
    # Resumed, with half of the answers gone, the same texts come again.
    part = next((tmp_path / "out" / "predictions").iterdir())
    lines = part.read_bytes().splitlines(keepends=True)
    part.write_bytes(b"".join(lines[: len(lines) // 2]) + lines[-1][:10])
    report = (tmp_path / "out" / "report.json").read_bytes()
    assert main([*command, *tasks, "--geometry", "zeroed", "--json"]) == 0
    assert read_answers(tmp_path / "out") == answers
    assert (tmp_path / "out" / "report.json").read_bytes() == report
    # Another view is another evaluation.
    assert main([*command, *tasks, "--view", "own"]) == 2
    assert "view was authors and is None" in capsys.readouterr().err


def test_another_model_is_not_taken_for_a_released_checkpoint(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model, build = write_model(tmp_path / "own", {}), write_build(tmp_path / "build", make_records())
    assert main(["evaluate", "--gap-mllm", str(model), "--shards", str(build)]) == 2
    assert "is not a GAP-MLLM with gated fusion" in capsys.readouterr().err


def test_a_model_of_ours_is_asked_in_their_view_with_its_own_names_and_angles(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own = write_model(tmp_path / "own", {"task": "captioning", "view": "scene", "convention": "intrinsic_zxy"})
    build = write_build(tmp_path / "build", make_records())
    words = ["evaluate", "--model", str(own), "--shards", str(build), "--limit", "1", "--out", str(tmp_path / "out")]
    assert main([*words, "--task", "captioning", "--view", "authors", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["view"]["name"] == "authors"
    options = json.loads((tmp_path / "out" / "asked.json").read_text())["asking"]["captioning"]["options"]
    assert (options["wording"], options["convention"], options["taxonomy"]) == ("gap", "intrinsic_zxy", None)
