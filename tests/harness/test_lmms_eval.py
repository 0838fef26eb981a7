"""lmms-eval's own command on a trained directory: our questions, a video, and VSI-Bench's and SPAR-Bench's tasks.

The tasks of both benchmarks are lmms-eval's files with other data: small ones in the benchmarks' columns.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gapdata.commands.main import main
from gapdata.shards.reader import ShardReader
from gapmodel.evaluation.answering import Answerer
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.published import spar, vsi
from gapmodel.evaluation.run import score
from gapmodel.harness.conversation import Sampling, user_message
from gapmodel.harness.generation import Generation
from gapmodel.harness.respondent import Respondent
from gapmodel.model_directory import load_model
from tests.conftest import REPOSITORY
from tests.harness.conftest import FRAMES

pytest.importorskip("lmms_eval.evaluator")

VSI_TYPES = {
    "object_counting": "2",
    "object_abs_distance": "2.7",
    "object_rel_direction_easy": "A",
    "object_rel_direction_medium": "B",
    "object_rel_direction_hard": "C",
    "route_planning": "B",
}
SPAR_TASKS = {"depth_prediction_oc": "2.7", "distance_prediction_oo_mv": "1.5", "obj_spatial_relation_oo": "B"}
RUN = (  # the entry point may be absent where this package was installed before it had one
    "from lmms_eval.models import MODEL_REGISTRY_V2 as registry; from gapmodel.harness.manifest import manifest;"
    "registry.register_manifest(manifest(), overwrite=True);"
    "from lmms_eval.__main__ import cli_evaluate; cli_evaluate()"
)
LOCAL = """
def video(doc): return [doc["video"]]
def images(doc): return list(doc["images"])
def text(doc, lmms_eval_specific_kwargs=None): return doc["question"]
def choices(doc): return doc["options"]
def gold(doc): return doc["options"].index(doc["answer"])
def results(doc, found): return {"acc": float(found[0] == doc["answer"])}
"""
VIDEO = """
task: local_video
dataset_path: json
dataset_kwargs: {data_files: {test: video.jsonl}}
test_split: test
output_type: generate_until
doc_to_visual: !function local.video
doc_to_text: !function local.text
doc_to_target: answer
process_results: !function local.results
generation_kwargs: {max_new_tokens: 8}
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""
CHOICES = """
task: local_choices
dataset_path: json
dataset_kwargs: {data_files: {test: choices.jsonl}}
test_split: test
output_type: multiple_choice
doc_to_visual: !function local.images
doc_to_text: !function local.text
doc_to_choice: !function local.choices
doc_to_target: !function local.gold
metric_list: [{metric: acc, aggregation: mean, higher_is_better: true}]
"""


def run(folder: Path, model: Path, tasks: Sequence[str], *more: str, batch: int = 3) -> dict[str, Any]:
    """Run lmms-eval's command in a process of its own; return its results, and answers by document."""
    out = folder / f"out-{len(list(folder.glob('out-*')))}"
    words = [
        "--model",
        "gap_mllm",
        "--model_args",
        f"pretrained={model},frames=5,device=cpu",
        "--tasks",
        ",".join(tasks),
    ]
    words += ["--include_path", str(folder), "--batch_size", str(batch), "--output_path", str(out), "--log_samples"]
    environment = os.environ | {
        "HF_HOME": str(folder / "home"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONPATH": os.pathsep.join([str(REPOSITORY), os.environ.get("PYTHONPATH", "")]),
    }
    done = subprocess.run(
        [sys.executable, "-c", RUN, *words, *more], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert list(out.rglob("*_results.json")), done.stdout[-2000:] + done.stderr[-4000:]
    (found,) = out.rglob("*_results.json")
    results: dict[str, Any] = json.loads(found.read_text())
    results["answers"] = {}
    for task in tasks:
        (path,) = out.rglob(f"*_samples_{task}.jsonl")
        lines = [json.loads(line) for line in path.read_text().splitlines()]
        results["answers"][task] = {line["doc_id"]: line["filtered_resps"] for line in lines}
    results["said"] = done.stderr
    return results


def write_lines(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(scope="module")
def folder(build: Path) -> Path:
    """Our questions as a task folder, with further local tasks beside them."""
    out = build.parent / "task"
    assert main(["export", str(build), "--format", "lmms-eval", "--out", str(out)]) == 0
    (out / "local.py").write_text(LOCAL)
    _video_task(out, build)
    _spar_task(out, build)
    return out


def pictures(build: Path) -> list[Image.Image]:
    record = ShardReader(build)[0]
    return [Image.fromarray(record.image(frame)) for frame in range(len(record))]


def _video_task(out: Path, build: Path) -> None:
    import cv2

    path = out / "home" / "vsibench" / "scannet" / "room.mp4"
    path.parent.mkdir(parents=True)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"mp4v"), 2.0, (320, 240))
    for picture in pictures(build):
        writer.write(np.asarray(picture)[..., ::-1].copy())
    writer.release()
    (out / "local_video.yaml").write_text(VIDEO)
    write_lines(out / "video.jsonl", [{"video": str(path), "question": "How long is the table?", "answer": "130"}])


def _spar_task(out: Path, build: Path) -> None:
    datasets = pytest.importorskip("datasets")
    lmms_tasks = pytest.importorskip("lmms_eval.tasks")
    shown = pictures(build)
    rows = [
        {"id": str(place), "task": task, "image": shown[: 1 + place], "question": "How deep is the table?", "answer": a}
        for place, (task, a) in enumerate(SPAR_TASKS.items())
    ]
    columns: dict[str, Any] = {name: datasets.Value("string") for name in ("id", "task", "question", "answer")}
    features = datasets.Features(columns | {"image": datasets.Sequence(datasets.Image())})
    datasets.Dataset.from_list(rows, features=features).to_parquet(out / "spar.parquet")
    theirs = Path(lmms_tasks.__file__).parent / "sparbench" / "sparbench.yaml"
    data = f"dataset_path: parquet\ndataset_kwargs:\n  data_files:\n    test: {out / 'spar.parquet'}\n"
    (out / "local_spar.yaml").write_text(f"include: {theirs}\ntask: local_spar\n{data}")


@pytest.fixture(scope="module")
def results(folder: Path, model: Path) -> dict[str, Any]:
    return run(folder, model, ["gapdata_spatial_val", "gapdata_spatial_val_blind", "local_video", "local_spar"])


def test_scores_are_those_of_an_evaluation_of_this_package(
    results: dict[str, Any], folder: Path, build: Path, model: Path, asked: list[TaskQuestions]
) -> None:
    net, processor = load_model(model)
    answerer = Answerer(model=net.eval(), processor=processor, reader=ShardReader(build), bar=False)
    for task in asked:
        answerer.answer(task)
    docs = [json.loads(line) for line in (folder / "questions_val.jsonl").read_text().splitlines()]
    assert {doc["id"] for doc in docs} == set(answerer.texts)
    answers = results["answers"]["gapdata_spatial_val"]
    assert len(set(answers.values())) > 2
    ours = {number: answerer.texts[doc["id"]].strip() for number, doc in enumerate(docs)}
    assert answers == ours
    spatial = score(ShardReader(build), asked, answerer.texts).spatial
    assert spatial is not None
    found = results["results"]["gapdata_spatial_val"]
    types = {doc["task"]: doc["question_type"] for doc in docs}
    scores = {name: result.ours.score for name, result in spatial.types.items()}
    assert {name: found[f"{types[name]},none"] for name in scores} == pytest.approx(scores)
    assert found["overall,none"] == pytest.approx(np.mean(list(scores.values())))
    assert 0 < found["overall,none"] < 1


def test_the_blind_twin_is_the_same_text_without_an_image(results: dict[str, Any], folder: Path, model: Path) -> None:
    respondent = Respondent.load(model, Sampling(), "cpu")
    docs = [json.loads(line) for line in (folder / "questions_val.jsonl").read_text().splitlines()]
    answers = results["answers"]["gapdata_spatial_val_blind"]
    for number, doc in enumerate(docs):
        example = respondent.example("k", [user_message([], doc["question"])])
        assert not example.visual.any()
        assert respondent.answers([example], Generation(max_new_tokens=16)) == [answers[number]]


def test_a_video_is_shown_by_frames_with_their_times(results: dict[str, Any], folder: Path, model: Path) -> None:
    respondent = Respondent.load(model, Sampling(frames=5), "cpu")
    (doc,) = [json.loads(line) for line in (folder / "video.jsonl").read_text().splitlines()]
    example = respondent.example("k", [user_message([doc["video"]], doc["question"])])
    text = respondent.processor.tokenizer.decode(example.input_ids)
    assert all(f"<{second}.0 seconds>" in text for second in range(5))  # nine frames, two a second, every second one
    assert results["answers"]["local_video"][0] == respondent.answers([example], Generation(max_new_tokens=8))[0]


def test_spar_benchs_task_shows_its_images_and_scores_by_its_rules(
    results: dict[str, Any], build: Path, model: Path
) -> None:
    answers, found = results["answers"]["local_spar"], results["results"]["local_spar"]
    for place, (task, truth) in enumerate(SPAR_TASKS.items()):
        name = task if spar.is_number(task) else f"{task}_accuracy"
        assert found[f"{name},none"] == pytest.approx(spar.original(answers[place], truth, task))
    respondent = Respondent.load(model, Sampling(), "cpu")
    wanted = "\nHow deep is the table?\nPlease answer the question using a single word or phrase."
    example = respondent.example("k", [user_message(pictures(build)[:2], wanted)])
    assert answers[1] == respondent.answers([example], Generation(max_new_tokens=100))[0].strip()


def test_vsi_benchs_task_shows_frames_of_its_videos_and_scores_by_its_rules(folder: Path, model: Path) -> None:
    pytest.importorskip("decord")
    lmms_tasks = pytest.importorskip("lmms_eval.tasks")
    common = {"dataset": "scannet", "scene_name": "room", "question": "How long is the table?"}
    rows = [
        {**common, "id": place, "question_type": kind, "options": ["A. 1", "B. 2", "C. 3"], "ground_truth": truth}
        for place, (kind, truth) in enumerate(VSI_TYPES.items())
    ]
    write_lines(folder / "vsi.jsonl", rows)
    theirs = Path(lmms_tasks.__file__).parent / "vsibench" / "multi_image_input" / "vsibench_multiimage.yaml"
    data = f"dataset_path: json\ndataset_kwargs:\n  data_files:\n    test: {folder / 'vsi.jsonl'}\n"
    (folder / "local_vsi.yaml").write_text(f"include: {theirs}\ntask: local_vsi\ndataset_name: null\n{data}")
    found = run(folder, model, ["local_vsi"], batch=1)
    answers, scores = found["answers"]["local_vsi"], {}
    for place, (kind, truth) in enumerate(VSI_TYPES.items()):
        scores[kind] = vsi.lmms_eval(answers[place], truth, letter=truth in "ABC")
    names = {"object_counting": "object_counting_mra", "object_abs_distance": "object_abs_distance_mra"}
    for kind, name in names.items():
        assert found["results"]["local_vsi"][f"{name},none"] == pytest.approx(scores[kind])
    assert f"shows {FRAMES} frames" not in found["said"]  # as many as it was trained with


def test_choices_are_told_apart_by_their_likelihoods(folder: Path, build: Path, model: Path) -> None:
    names = []
    for place, picture in enumerate(pictures(build)[:2]):
        picture.save(folder / f"choice-{place}.png")
        names.append(str(folder / f"choice-{place}.png"))
    respondent = Respondent.load(model, Sampling(), "cpu")
    options, question = ["2.70", "17", "A", "B"], "How long is the table?"
    values = [
        respondent.likelihoods([respondent.example("k", [user_message(names, question)], option)])[0][0]
        for option in options
    ]
    likely = options[int(np.argmax(values))]
    rows = [{"images": names, "question": question, "options": options, "answer": a} for a in (likely, options[3])]
    write_lines(folder / "choices.jsonl", rows)
    (folder / "local_choices.yaml").write_text(CHOICES)
    found = run(folder, model, ["local_choices"], "--force_simple")
    assert found["results"]["local_choices"]["acc,none"] == (1 + (likely == options[3])) / 2


def test_an_error_names_its_document(folder: Path, model: Path) -> None:
    from lmms_eval.api.instance import Instance

    from gapmodel.harness.lmms_model import GapMllm

    adapter = GapMllm(pretrained=str(model), device="cpu", batch_size="2")
    adapter.task_dict = {"some": {"test": [{"file": "missing.png"}]}}
    place = {"task": "some", "doc_id": 0, "repeats": 1}

    def to_messages(doc: dict[str, str]) -> list[dict[str, Any]]:
        return [user_message([doc["file"]], "?")]

    request = Instance(
        request_type="generate_until", arguments=("", to_messages, {}, 0, "some", "test"), idx=0, metadata=place
    )
    with pytest.raises(RuntimeError, match=r"document 0 of some: .*missing\.png"):
        adapter.generate_until([request])
    with pytest.raises(NotImplementedError, match="several rounds"):
        adapter.generate_until_multi_round([request])
    assert (adapter.rank, adapter.world_size) == (0, 1)
