"""A bundle loads by transformers alone, in a process that cannot import this project, and answers like our own load."""

from __future__ import annotations

import json
import re
import resource
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from safetensors.torch import load_file, save_file

from gapdata.errors import GapDataError, UsageError
from gapdata.tasks.chat import Mark, Question
from gapmodel.bundle.write import BundleOptions, write_bundle
from gapmodel.commands.main import main
from gapmodel.generate import generate_answers
from gapmodel.model_directory import load_model
from tests.support.bundles import MARK, TEXT, pixels, run_fresh, write_frames, write_model


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Let this process write no file of more bytes, as a full disk would not."""
    before, signalled = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, signalled)


class Made(NamedTuple):
    """A model, its bundle, and what a stranger's process found."""

    model: Path
    bundle: Path
    folder: Path
    frames: list[Path]
    found: dict[str, Any]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("made")
    model, bundle = write_model(folder), folder / "bundle"
    assert main(["bundle", str(model), "--out", str(bundle)]) == 0
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    frames = write_frames(elsewhere)
    task = {
        "bundle": str(bundle),
        "weights": str(folder / "VGGT-1B" / "model.safetensors"),
        "cache": str(elsewhere / "home" / "hub"),
        "frames": [str(path) for path in frames],
        "mark": MARK,
        "text": TEXT,
        "threads": torch.get_num_threads(),
        "logits": str(elsewhere / "logits.pt"),
        "again": str(elsewhere / "again"),
        "code": str(elsewhere / "card.py"),
    }
    (code,) = re.findall(r"```python\n(.*?)```", (bundle / "README.md").read_text(), flags=re.DOTALL)
    assert 'MODEL = "."' in code
    (elsewhere / "card.py").write_text(
        code.replace('MODEL = "."', f"MODEL = {str(bundle)!r}").replace("120, 80", "40, 20")
    )
    return Made(model, bundle, elsewhere, frames, run_fresh(task, elsewhere))


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@torch.inference_mode()
def test_logits_are_those_of_our_own_load_bit_for_bit(made: Made, dtype: torch.dtype) -> None:
    model, processor = load_model(made.model)
    question = Question(text="<image><image>" + TEXT, answer="", marks=(Mark(frame=0, pixel=MARK),))
    example = processor.encode("", pixels(made.frames), question, with_answer=False)
    inputs = processor.collate([example]).inputs
    theirs = torch.load(made.folder / "logits.pt", weights_only=True)
    assert inputs["input_ids"].tolist() == made.found["input_ids"]
    assert torch.equal(inputs["geometry_images"], theirs["geometry"])
    ours = model.eval().to(dtype)(**inputs).logits
    assert torch.equal(ours, theirs[str(dtype).removeprefix("torch.")])


def test_pipeline_and_generate_answer_as_we_do(made: Made) -> None:
    model, processor = load_model(made.model)
    marked = Question(text="<image><image>" + TEXT, answer="", marks=(Mark(frame=0, pixel=MARK),))
    plain = Question(text="<image><image>" + TEXT, answer="")
    for question, names in ((marked, ("answer", "pipeline")), (plain, ("pipeline without a chat",))):
        example = processor.encode("", pixels(made.frames), question, with_answer=False)
        (ours,) = generate_answers(model.eval(), processor, [example], 8)
        assert ours
        assert {made.found[name] for name in names} == {ours}


def test_the_code_of_the_card_runs_as_it_stands(made: Made) -> None:
    assert made.found["code of the card"].startswith(made.found["answer"].strip())


def test_what_is_missing_is_said_with_its_licence_and_how_to_get_it(made: Made) -> None:
    said = made.found["without weights"]
    assert "facebook/VGGT-1B, licence CC-BY-NC-4.0" in said
    assert "hf download facebook/VGGT-1B model.safetensors" in said
    assert made.found["same weights"]


def test_a_loaded_model_that_is_saved_keeps_its_code_and_its_processor(made: Made) -> None:
    assert made.found["saved class"] == "GapForConditionalGeneration"
    assert made.found["saved ids"] == made.found["input_ids"]
    assert {path.name for path in made.bundle.glob("*.py")} <= {path.name for path in (made.folder / "again").iterdir()}
    assert made.found["ours"] == []


def test_a_bundle_without_the_encoder_s_weights_names_them_and_no_place_of_this_machine(made: Made) -> None:
    config = json.loads((made.bundle / "config.json").read_text())
    assert config["geometry_weights"] == "facebook/VGGT-1B"
    assert config["geometry"]["licence"] == "CC-BY-NC-4.0"
    assert len(config["geometry_fingerprint"]) == 64
    assert not any(name.startswith("model.geometry.") for name in load_file(made.bundle / "model.safetensors"))
    place = str(made.model.parent).encode()
    assert not [path.name for path in made.bundle.iterdir() if place in path.read_bytes()]


def test_our_own_package_loads_a_bundle_too(made: Made, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    weights = tmp_path / "facebook" / "VGGT-1B"
    weights.mkdir(parents=True)
    (weights / "model.safetensors").symlink_to(made.model.parent / "VGGT-1B" / "model.safetensors")
    monkeypatch.chdir(tmp_path)
    (ours, _), (theirs, processor) = load_model(made.model), load_model(made.bundle)
    pairs = zip(ours.state_dict().items(), theirs.state_dict().items(), strict=True)
    assert all(one == two and torch.equal(a, b) for (one, a), (two, b) in pairs)
    assert processor.config.image_size == (96, 64)


def test_weights_are_included_on_request_under_their_licence(made: Made, tmp_path: Path) -> None:
    facts = write_bundle(made.model, tmp_path / "out", BundleOptions(with_geometry=True, licence="apache-2.0"))
    assert facts["licence"] == "other"
    tensors = load_file(tmp_path / "out" / "model.safetensors")
    assert any(name.startswith("model.geometry.") for name in tensors)
    card = (tmp_path / "out" / "README.md").read_text()
    assert "license: other\n" in card
    assert "CC-BY-NC-4.0" in card
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["geometry_weights"] is None


def test_weights_that_training_changed_are_not_left_out(made: Made, tmp_path: Path) -> None:
    tensors = load_file(made.model.parent / "VGGT-1B" / "model.safetensors")
    tensors["aggregator.camera_token"] += 1
    save_file(tensors, tmp_path / "changed.safetensors")
    options = BundleOptions(geometry_weights=tmp_path / "changed.safetensors")
    with pytest.raises(UsageError, match=r"training changed them.*--with-geometry"):
        write_bundle(made.model, tmp_path / "out", options)
    assert not (tmp_path / "out").exists()


def test_an_existing_place_is_refused_and_kept(made: Made, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine").write_text("mine")
    with pytest.raises(UsageError, match="exists already"):
        write_bundle(made.model, tmp_path / "out", BundleOptions())
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["mine"]
    with pytest.raises(UsageError, match="inside the model's directory"):
        write_bundle(made.model, made.model / "bundle", BundleOptions())


def test_what_cannot_be_written_leaves_nothing_behind(made: Made, tmp_path: Path) -> None:
    folder = tmp_path / "closed"
    folder.mkdir()
    (folder / "file").write_text("")
    with pytest.raises(GapDataError, match="the bundle cannot be written"):
        write_bundle(made.model, folder / "file" / "out", BundleOptions())
    with small_files(100_000), pytest.raises(GapDataError, match="the bundle cannot be written"):
        write_bundle(made.model, folder / "out", BundleOptions())
    assert [path.name for path in folder.iterdir()] == ["file"]


def test_a_name_that_is_not_on_the_hub_is_refused(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="owner/name"):
        write_bundle(made.model, tmp_path / "out", BundleOptions(base_models=("/data/Qwen",)))
