"""Looking inside: the attention that is drawn is the one that ran, and the command leaves one picture."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from gapdata.errors import UsageError
from gapdata.shards.records import RecordList
from gapmodel.commands.main import main
from gapmodel.geometry import GeometryEncoder
from gapmodel.geometry.vggt import VGGT
from gapmodel.inspection.attention import Inspection, TokenAttention, inspect_record, token_attention
from gapmodel.inspection.sheet import inspection_sheet
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.export import save_model
from gapmodel.training.recipe import ModelRecipe, TrainingRecipe
from gapmodel.training.starting_point import first_model
from tests.model.test_vggt import PATCH, SMALL, make_images, make_vggt
from tests.support.models import SIZE, make_record

RECIPE = TrainingRecipe(
    model=ModelRecipe(
        text={"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2, "num_key_value_heads": 2},
        vision={"hidden_size": 48, "intermediate_size": 64},
        geometry={"width": 32, "heads": 2},
    ),
    processor=ProcessorConfig(image_size=SIZE, temporal_patch_size=1),
    data=DataRecipe(),
)
RECORD = make_record(0)


@torch.no_grad()
def test_the_shares_are_those_by_which_values_were_mixed() -> None:
    encoder = VGGT(**(SMALL | {"num_heads": 1, "dino_num_heads": 2}), levels=(2,)).eval()
    images, patch = make_images(frames=3, rows=2, columns=3), (1, 0, 2)
    mixed: dict[object, Tensor] = {}
    values: dict[object, Tensor] = {}
    for block in (*encoder.frame_blocks, *encoder.global_blocks):
        layer = block.attn
        layer.proj.register_forward_pre_hook(lambda _, inputs, layer=layer: mixed.update({layer: inputs[0]}))
        layer.qkv.register_forward_hook(lambda _, inputs, out, layer=layer: values.update({layer: out[..., -32:]}))
    found = token_attention(encoder, images[0], patch)
    assert [item.layer for item in found] == [0, 1, 2]
    special, tokens = 4, 4 + 6
    for item in found:
        in_frame, in_view = encoder.frame_blocks[item.layer].attn, encoder.global_blocks[item.layer].attn
        # Patches mix these values; what is left of the mixture comes from the special tokens.
        rest = mixed[in_frame][1, special + 2] - torch.from_numpy(item.frame).flatten() @ values[in_frame][1, special:]
        share = torch.linalg.lstsq(values[in_frame][1, :special].T, rest[:, None])
        torch.testing.assert_close(share.solution.sum(), 1 - torch.tensor(item.frame.sum()), rtol=0, atol=1e-3)
        assert (values[in_frame][1, :special].T @ share.solution - rest[:, None]).abs().max() < 1e-4
        by_frame = values[in_view].reshape(3, tokens, 32)[:, special:]
        seen = torch.from_numpy(item.view).flatten() @ by_frame.flatten(0, 1)
        rest = mixed[in_view][0, tokens + special + 2] - seen
        others = values[in_view].reshape(3, tokens, 32)[:, :special].flatten(0, 1)
        share = torch.linalg.lstsq(others.T, rest[:, None], driver="gelsd").solution
        assert (others.T @ share - rest[:, None]).abs().max() < 1e-4


@torch.no_grad()
def test_looking_changes_nothing_and_leaves_no_hooks() -> None:
    encoder, images = make_vggt(), make_images()
    before = encoder(images)
    token_attention(encoder, images[0], (0, 1, 1))
    assert all(torch.equal(a, b) for a, b in zip(before, encoder(images), strict=True))
    assert not any(module._forward_pre_hooks for module in encoder.modules())


def test_attention_moves_with_the_frames() -> None:
    encoder, images = make_vggt(), make_images()
    as_is = token_attention(encoder, images[0], (0, 2, 1))
    swapped = token_attention(encoder, images[0, [0, 2, 1]], (0, 2, 1))
    for one, other in zip(as_is, swapped, strict=True):
        np.testing.assert_allclose(other.view, one.view[[0, 2, 1]], atol=1e-5)
        np.testing.assert_allclose(other.frame, one.frame, atol=1e-5)
        assert 0 < one.view.sum() < 1
        assert one.view.shape == (3, 3, 4)


def test_an_encoder_of_another_shape_and_a_patch_outside_are_refused() -> None:
    class Other(GeometryEncoder):
        licence, source = "MIT", ""

        def encode(self, images: Tensor) -> list[Tensor]:
            return []

    with pytest.raises(UsageError, match="attention of Other cannot be drawn; choose an encoder like VGGT"):
        token_attention(Other(), make_images()[0], (0, 0, 0))
    with pytest.raises(UsageError, match=r"no patch \(0, 3, 0\) \(frame, row, column\) in 3 frames of 3 x 4 patches"):
        token_attention(make_vggt(), make_images()[0], (0, 3, 0))


def test_the_sheet_has_a_row_for_every_level_and_layer_and_light_where_the_token_looks() -> None:
    view = np.full((2, 4, 6), 0.001, np.float32)
    view[1, 0, 5] = 0.8
    found = Inspection(
        title="a record",
        images=np.full((2, 4 * PATCH, 6 * PATCH, 3), 90, np.uint8),
        frame_ids=(0, 30),
        patch=(0, 2, 3),
        gates={("final", "gate"): np.zeros((2, 2, 3), np.float32), ("deepstack.0", ""): np.ones((2, 2, 3), np.float32)},
        attention=[TokenAttention(layer=i, frame=view[0], view=view) for i in range(2)],
    )
    sheet = inspection_sheet(found)
    assert sheet.dtype == np.uint8
    cell = 200  # pixels between rows: 300 x 200 cells
    rows = [28 + 58 + 24 + index * (cell + 24 + 8) + 10 for index in range(5)]
    right = 28 + 230 + 2 * 308 - 8 - 20  # in the upper right patch of the second frame
    vision, geometry, *attention = (sheet[row, right].astype(int).sum() for row in rows[1:])
    assert geometry > vision + 200
    assert min(attention) > 400
    assert max(sheet[row + 150, right].astype(int).sum() for row in rows[3:]) < 200
    assert sheet.shape[0] == 2 * 28 + 58 + 5 * (cell + 32)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, processor = first_model({"": RecordList([RECORD])}, RECIPE)
    directory = tmp_path_factory.mktemp("run")
    save_model(model, processor, RECIPE, directory / "model")
    return directory


def test_a_record_is_inspected_at_its_prompt_or_at_a_pixel() -> None:
    model, processor = first_model({"": RecordList([RECORD])}, RECIPE)
    found = inspect_record(model.eval(), processor, RECORD)
    asked = RECORD.prompts[0]
    assert found.patch == (asked.frame, asked.pixel[1] // 16, asked.pixel[0] // 16)
    assert len(found.gates) == 4
    assert all(gate.shape == (2, 3, 4) and 0 < gate.mean() < 1 for gate in found.gates.values())
    assert [item.layer for item in found.attention] == [0, 1, 2, 3]
    assert inspect_record(model, processor, RECORD, pixel=(127, 0), frame=1).patch == (1, 0, 7)
    with pytest.raises(UsageError, match=r"pixel \(128, 0\) is outside of what the model sees; choose"):
        inspect_record(model, processor, RECORD, pixel=(128, 0))


def test_the_command_writes_one_picture(run: Path, inline_build: Path, tmp_path: Path) -> None:
    picture = tmp_path / "inside.png"
    assert main(["inspect", str(run), "--build", str(inline_build), "--token", "20,12", "--save", str(picture)]) == 0
    assert cv2.imread(str(picture)).shape[1] > 800
    assert [path.name for path in tmp_path.iterdir()] == ["inside.png"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["--save", "x.jpg"], "gapmodel: x.jpg: is not a .png file in an existing directory; change --save"),
        (["--build", "nowhere"], "nowhere: holds no finished build (no index.parquet); run `gapdata build-shards`"),
        (["--key", "no-such-record"], "no-such-record"),
        (["--token", "20,12", "--frame", "99"], "has no frame 99; choose --frame from 0 to 1"),
    ],
)
def test_mistakes_of_the_command_are_one_line(
    run: Path, inline_build: Path, tmp_path: Path, change: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["inspect", str(run), "--build", str(inline_build), "--save", str(tmp_path / "x.png"), *change]
    assert main(arguments) in (2, 4)
    error = capsys.readouterr().err.splitlines()[-1]  # after the progress of loading, if it came that far
    assert error.startswith("gapmodel: ")
    assert message in error
