"""The card says what a model was made from, how well it does, and under which terms it may be used."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from huggingface_hub import ModelCard

from gapdata.errors import UsageError
from gapmodel.bundle.card import Card, Encoder, licence_of, model_card
from gapmodel.bundle.lineage import Lineage, Scans, without_places
from gapmodel.bundle.scores import own_scores
from gapmodel.bundle.write import BundleOptions, write_bundle
from gapmodel.commands.main import main
from gapmodel.processing import ProcessorConfig
from tests.support.builds import write_build
from tests.support.evaluations import make_records, write_model

TERMS = "signed agreement; research only"
OWN = Encoder(name="tiny", source="", licence="Apache-2.0", included=True, fingerprint="")
VGGT = Encoder(name="vggt", source="facebook/VGGT-1B", licence="CC-BY-NC-4.0", included=False, fingerprint="ab" * 32)
FREE = Scans(title="rooms", terms="CC0", redistributable=True, scenes=3)
CLOSED = Scans(title="ScanNet", terms=TERMS, redistributable=False, scenes=5)
CARD = Card(
    name="small",
    encoder=OWN,
    fusion="gated",
    parameters=1_900_000,
    sight=ProcessorConfig(image_size=(64, 32)),
    frames=4,
    lineage=Lineage(base_models=("Qwen/Qwen3-VL-2B-Instruct",), scans=(FREE,), taught=("pointmap",), recipe={}),
    questions={"pointmap": "Where is it?"},
    datasets=("someone/rooms",),
    licence="",
    scores=(),
)


class Scored(NamedTuple):
    """A model, an evaluation of it with an audit, and a bundle that tells of both."""

    model: Path
    build: Path
    answers: Path
    bundle: Path


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> Scored:
    folder = tmp_path_factory.mktemp("scored")
    build = write_build(folder / "shards", make_records())
    report = build / "report.json"
    fields = json.loads(report.read_text()) if report.is_file() else {}
    rows = [{"title": "ScanNet", "terms": TERMS, "redistributable": False, "scenes": 3}]
    report.write_text(json.dumps({**fields, "terms": rows}))
    model = write_model(folder / "model", {"frames": 2})
    answers = folder / "answers"
    asked = ["--shards", str(build), "--model", str(model), "--out", str(answers), "--task", "pointmap", "--limit", "2"]
    assert main(["evaluate", *asked, "--geometry", "own,zeroed"]) == 0
    told = ["--scores", str(answers), "--shards", str(build), "--base-model", "Qwen/Qwen3-VL-2B-Instruct"]
    assert main(["bundle", str(model), "--out", str(folder / "bundle"), "--name", "Small model", *told]) == 0
    return Scored(model, build, answers, folder / "bundle")


def test_the_hub_s_own_reader_finds_scores_with_their_intervals(scored: Scored) -> None:
    data = ModelCard.load(scored.bundle / "README.md").data
    assert (data.library_name, data.pipeline_tag, data.license) == ("transformers", "image-text-to-text", "other")
    assert data.base_model == ["Qwen/Qwen3-VL-2B-Instruct"]
    report = json.loads((scored.answers / "report.json").read_text())
    figures = [row for row in report["figures"]["pointmap"] if row["interval"] and row["value"] is not None]
    assert figures
    results = data.eval_results or []
    assert [result.metric_type for result in results] == [row["name"] for row in figures]
    assert [result.metric_value for result in results] == pytest.approx([row["value"] for row in figures], abs=1e-6)
    assert all("95 % interval" in str(result.metric_name) for result in results)
    assert {result.dataset_split for result in results} == {"val"}


def test_the_card_repeats_the_audit_and_the_terms_of_the_scans(scored: Scored) -> None:
    card = (scored.bundle / "README.md").read_text()
    audit = json.loads((scored.answers / "geometry.json").read_text())
    assert audit["tasks"]["pointmap"]["sentence"] in card
    assert f"3 scenes of ScanNet. Terms: {TERMS}." in card
    assert "because it was trained on scans that have terms of their own: ScanNet" in card


def test_scores_of_another_model_are_refused(scored: Scored, tmp_path: Path) -> None:
    other = write_model(tmp_path / "model", {})
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "taught": ["pointmap"]}))
    with pytest.raises(UsageError, match="evaluation of another model"):
        write_bundle(other, tmp_path / "out", BundleOptions(scores=(scored.answers,)))


def test_a_report_of_an_older_version_is_to_be_written_anew(scored: Scored, tmp_path: Path) -> None:
    answers = tmp_path / "answers"
    answers.mkdir()
    (answers / "asked.json").write_bytes((scored.answers / "asked.json").read_bytes())
    (answers / "report.json").write_text('{"split": "val"}')
    with pytest.raises(UsageError, match="evaluate again"):
        write_bundle(scored.model, tmp_path / "out", BundleOptions(scores=(answers,)))


def test_an_evaluation_beside_the_model_that_cannot_be_read_is_left_out_with_a_remark(
    scored: Scored, tmp_path: Path
) -> None:
    (tmp_path / "run.json").write_text("{}")
    for name, report in (("old", b'{"split": "val"}'), ("sound", (scored.answers / "report.json").read_bytes())):
        (tmp_path / "evaluation" / name).mkdir(parents=True)
        (tmp_path / "evaluation" / name / "report.json").write_bytes(report)
        (tmp_path / "evaluation" / name / "asked.json").write_bytes((scored.answers / "asked.json").read_bytes())
    found, unread = own_scores(tmp_path, scored.model)
    assert [scores.split for scores in found] == ["val"]
    assert [text.startswith(str(tmp_path / "evaluation" / "old")) for text in unread] == [True]


@pytest.mark.parametrize(
    ("card", "licence", "why"),
    [
        (CARD, "apache-2.0", "all its parts"),
        (replace(CARD, encoder=VGGT), "apache-2.0", "all its parts"),
        (replace(CARD, encoder=replace(VGGT, included=True)), "other", "VGGT-1B, licence CC-BY-NC-4.0"),
        (replace(CARD, encoder=replace(VGGT, included=True), licence="mit"), "other", "includes the weights"),
        (replace(CARD, licence="MIT"), "mit", "publisher"),
        (replace(CARD, lineage=replace(CARD.lineage, scans=(FREE, CLOSED))), "other", "ScanNet"),
        (replace(CARD, lineage=replace(CARD.lineage, scans=())), "other", "not stated what it was trained on"),
    ],
)
def test_the_strictest_part_decides_the_licence(card: Card, licence: str, why: str) -> None:
    found, reason = licence_of(card)
    assert found == licence
    assert why in reason
    text = model_card(card)
    assert f"license: {licence}\n" in text
    assert ("license_name: " in text) == (licence == "other")


def test_a_card_names_both_base_models_and_what_to_download() -> None:
    data = ModelCard(model_card(replace(CARD, encoder=VGGT))).data.to_dict()
    assert data["base_model"] == ["Qwen/Qwen3-VL-2B-Instruct", "facebook/VGGT-1B"]
    assert data["datasets"] == ["someone/rooms"]
    assert "hf download facebook/VGGT-1B model.safetensors" in model_card(replace(CARD, encoder=VGGT))


def test_a_card_says_how_frames_are_seen() -> None:
    sights = {
        "a width of 518 pixels": replace(CARD.sight, paper_preprocessing=True),
        "keep their aspect": replace(CARD.sight, keep_aspect=True),
        "the middle of a frame": CARD.sight,
    }
    assert all(said in model_card(replace(CARD, sight=sight)) for said, sight in sights.items())


def test_folders_are_left_out_of_a_recipe() -> None:
    recipe = {"model": {"qwen": "/home/me/Qwen3-VL-2B-Instruct/", "preset": "2b"}, "data": {"types": ["size"], "n": 3}}
    assert without_places(recipe) == {
        "model": {"qwen": "Qwen3-VL-2B-Instruct", "preset": "2b"},
        "data": {"types": ["size"], "n": 3},
    }
