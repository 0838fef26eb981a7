"""Training on a question file: exactly its questions, each once in an epoch, and none that does not fit the build."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.shards.reader import ShardReader
from gapdata.tasks.spatial.question_file import read_questions
from gapdata.tasks.spatial.question_index import QuestionIndex
from gapmodel.packing import IGNORED
from gapmodel.questions.recipe import DataRecipe, check_data_recipe
from gapmodel.training.census import census, refuse_unasked
from gapmodel.training.checkpointing import identity
from gapmodel.training.recipe import Stream, TrainingRecipe
from gapmodel.training.starting_point import spoken_texts
from gapmodel.training.stream_questions import StreamQuestions
from tests.model.test_processing import make_processor


@pytest.fixture(scope="module")
def written(spatial_build: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("questions") / "questions.jsonl"
    assert main(["questions", str(spatial_build), "--out", str(out)]) == 0
    return out


def asking(build: Path, **fields: Any) -> StreamQuestions:
    stream = Stream(name="space", weight=1.0, build="", data=DataRecipe(task="spatial", **fields))
    return StreamQuestions(stream, ShardReader(build), make_processor(), 0)


@pytest.mark.parametrize("visits", [0, 1, 2])
def test_an_epoch_asks_each_question_of_the_file_once(spatial_build: Path, written: Path, visits: int) -> None:
    asked = asking(spatial_build, view="clip", questions=str(written), visits=visits)
    order = asked.order()
    size = order.shares * len(order.records)
    found: Counter[tuple[str, str]] = Counter()
    for number in range(size, 2 * size):
        for example in asked.examples(order.visit(0, number)):
            answer = asked.processor.decode(example.input_ids[example.labels != IGNORED].tolist())
            found[example.key.replace("/space", ""), answer] += 1
    of_clips = [item for item in read_questions(written) if "-clip-" in item.key and item.split == "train"]
    names = [(f"{item.key}/{item.question.kind}-{item.id.rpartition('/')[2]}", item) for item in of_clips]
    assert found == Counter((name, item.question.answer) for name, item in names)
    assert not asked.geometry  # neither depth nor masks are decoded


def test_types_of_a_file_are_chosen_counted_and_taught(spatial_build: Path, written: Path) -> None:
    data = DataRecipe(task="spatial", view="scene", types=("size", "distance", "count"), questions=str(written))
    recipe = TrainingRecipe(mixture={"space": {name: getattr(data, name) for name in ("task", "view", "questions")}})
    reader = ShardReader(spatial_build)
    (stream,) = (replace(stream, data=data) for stream in recipe.streams)
    (found,) = census([stream], {"": reader}).values()
    held = QuestionIndex(written)
    keys = [reader.keys[index] for index in reader.select(view="scene", split="train")]
    counts = {name: sum(held.counts(key, [name]).total() > 0 for key in keys) for name in data.types}
    assert dict(found.types) == counts
    assert counts["size"] == len(keys)
    texts = spoken_texts(reader, data)
    assert any("longest side" in text for text in texts)
    assert not any("floor" in text for text in texts)
    (digest,) = identity(recipe, {"": reader}, None)["questions"].values()
    assert digest == held.sha256


def changed(path: Path, out: Path, **fields: Any) -> str:
    """A copy of a question file in which each question has other fields."""
    lines = [json.dumps({**json.loads(line), **fields}) for line in path.read_text().splitlines()]
    out.write_text("".join(f"{line}\n" for line in lines))
    return str(out)


def test_questions_of_another_build_are_refused(spatial_build: Path, written: Path, tmp_path: Path) -> None:
    strange = changed(written, tmp_path / "strange.jsonl", key="room-clip-00000")
    asked = asking(spatial_build, questions=strange)
    found = census([asked.stream], {"": asked.reader})
    with pytest.raises(UsageError, match=r"stream 'space' has no question: none of .* has none about these records"):
        refuse_unasked([asked.stream], {"": asked.reader}, found)
    late = asking(spatial_build, questions=changed(written, tmp_path / "late.jsonl", frames=[400]))
    with pytest.raises(UsageError, match=r"question \w+/.* is not about this build; write the file again"):
        late.examples(late.order().visit(0, 0))


@pytest.mark.parametrize("line", ["", "{}", "[1", "null", '{"id": "a"}', "\u00ff" * 10])
def test_a_file_of_something_else_is_refused(tmp_path: Path, line: str) -> None:
    (tmp_path / "file").write_text(f"{line}\n")
    with pytest.raises(UsageError, match="line 1 is not a question"):
        QuestionIndex(tmp_path / "file")
    with pytest.raises(UsageError, match="cannot be read"):
        QuestionIndex(tmp_path / "nothing")


@pytest.mark.parametrize(
    "fields", [{"frames": 2}, {"mirror": True}, {"reframe": True}, {"type_weights": {"size": 2}}], ids=str
)
def test_what_would_change_a_files_questions_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"data\.questions = 'q\.jsonl' are about views as they are stored"):
        check_data_recipe(DataRecipe(task="spatial", questions="q.jsonl", **fields), "data", None)
    with pytest.raises(UsageError, match=r"data\.questions is for questions about space"):
        check_data_recipe(DataRecipe(questions="q.jsonl"), "data", None)
