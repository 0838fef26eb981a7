"""What all spatial questions have in common: bare answers, letters in balance, provenance, and names of one meaning."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.records.schema import Record, SceneLabel
from gapdata.shards.reader import ShardReader
from gapdata.tasks.chat import IMAGE, Unparsable
from gapdata.tasks.questions import questions, task_named
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.question import LETTERS, number_text, parse_letter, parse_number, shuffled
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from tests.support.task_records import make_object, make_record


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1.25", 1.25),
        ("1.25 metres", 1.25),
        ("About 2.", 2.0),
        ("1,200", 1200.0),
        ("-0.5", -0.5),
        ("\u22120.5 m", -0.5),
        ("3.", 3.0),
    ],
)
def test_the_first_number_of_an_answer_counts(text: str, value: float) -> None:
    assert parse_number(text) == value


@pytest.mark.parametrize(
    ("text", "letter"),
    [("A", "A"), ("b", "B"), ("(C)", "C"), ("**D**", "D"), ("A. the chair", "A"), ("B) left", "B"), (" `C` ", "C")],
)
def test_the_letter_at_the_beginning_of_an_answer_counts(text: str, letter: str) -> None:
    assert parse_letter(text) == letter


@pytest.mark.parametrize("text", ["", "Answer: A", "the chair", "Bed", "1", "I"])
def test_other_texts_are_not_letters(text: str) -> None:
    assert isinstance(parse_letter(text), Unparsable)


@given(st.text())
def test_no_text_makes_the_readers_fail(text: str) -> None:
    for parse in (parse_number, parse_letter):
        assert isinstance(parse(text), float | str | Unparsable)


@given(st.floats(-1e6, 1e6), st.integers(0, 3))
def test_a_number_is_written_bare_and_read_back(value: float, decimals: int) -> None:
    text = number_text(value, decimals)
    assert parse_number(text) == pytest.approx(value, abs=0.5001 * 10**-decimals)
    assert not text.startswith("-0") or float(text) != 0
    assert set(text) <= set("-.0123456789")


def test_every_letter_is_right_equally_often_and_follows_its_text() -> None:
    rng = np.random.default_rng(0)
    letters: Counter[str] = Counter()
    for _ in range(4000):
        options, letter = shuffled("right", ["x", "y", "z"], rng)
        assert options[LETTERS.index(letter)] == "right"
        letters[letter] += 1
    assert set(letters) == set("ABCD")
    assert max(letters.values()) - min(letters.values()) < 200


def named(*labels: str, scene: dict[str, int] | None = None) -> Record:
    """A record with an object of each label in sight, in a scene of these and of ``scene``'s counts."""
    objects = tuple(make_object(number, label, (9, 9), labels={"raw": label}) for number, label in enumerate(labels))
    counts = Counter(labels) + Counter(scene or {})
    return make_record(
        objects=objects,
        scene_objects=tuple(SceneLabel(labels={"raw": name}, count=count) for name, count in counts.items()),
    )


def unique_names(record: Record) -> set[str]:
    return {item.name for item in ViewFacts(record, QuestionOptions()).objects if item.unique}


def test_an_object_is_named_only_where_its_name_means_one_object_of_the_scene() -> None:
    assert unique_names(named("chair", "table", "lamp")) == {"chair", "table", "lamp"}
    assert unique_names(named("chair", "chair", "table")) == {"table"}
    assert unique_names(named("chair", "table", scene={"chair": 1})) == {"table"}  # the second is not in sight
    assert unique_names(named("chair", "office chair", "table")) == {"table"}
    assert unique_names(named("door", "doorframe", "wall")) == {"door", "doorframe"}


OFFICE_CHAIR = {"raw": "office chair", "nyu40": "chair", "scannet200": "office chair"}
CHAIR = {"raw": "chair", "nyu40": "chair", "scannet200": "chair"}
STOOL = {"raw": "stool", "nyu40": "chair", "scannet200": "stool"}
NIGHTSTAND = {"raw": "nightstand", "nyu40": "night stand", "scannet200": "nightstand"}


@pytest.mark.parametrize("taxonomy", [None, "raw", "nyu40", "scannet200"])
@pytest.mark.parametrize(
    ("labels", "unique"),
    [
        ((OFFICE_CHAIR, CHAIR, NIGHTSTAND), [NIGHTSTAND]),  # one name contains the other
        ((OFFICE_CHAIR, STOOL, NIGHTSTAND), [NIGHTSTAND]),  # both are chairs of nyu40
        ((OFFICE_CHAIR, NIGHTSTAND), [OFFICE_CHAIR, NIGHTSTAND]),
    ],
)
def test_the_source_s_own_names_are_as_sure_as_those_of_a_taxonomy(
    taxonomy: str | None, labels: tuple[dict[str, str], ...], unique: list[dict[str, str]]
) -> None:
    record = make_record(
        objects=tuple(make_object(number, own["raw"], (9, 9), labels=own) for number, own in enumerate(labels)),
        scene_objects=tuple(SceneLabel(labels=own, count=1) for own in labels),
    )
    facts = ViewFacts(record, QuestionOptions(taxonomy=taxonomy))
    assert [item.name for item in facts.objects if item.unique] == [own[taxonomy or "raw"] for own in unique]


def test_without_the_list_of_the_scene_nothing_is_named() -> None:
    record = make_record((make_object(0, "chair", (9, 9)),))
    assert unique_names(record) == set()


def test_questions_do_not_depend_on_the_order_in_which_records_are_asked(spatial_build: Path) -> None:
    options = QuestionOptions()
    first = {record.key: list(spatial_questions(record, options, 3)) for record in ShardReader(spatial_build)}
    again = {
        record.key: list(spatial_questions(record, options, 3)) for record in reversed(list(ShardReader(spatial_build)))
    }
    assert first == again
    other = {record.key: list(spatial_questions(record, options, 4)) for record in ShardReader(spatial_build)}
    assert other != first


FORMS = {
    "direction": {"left-right", "thirds", "quarters"},
    "relation": {"side", "height", "depth"},
    "imagined_view": {"side", "depth"},
    "pixel_depth": {"depth", "distance"},
    "camera_motion": {"step", "turn"},
}


@pytest.mark.parametrize("name", KINDS)
def test_every_type_asks_bare_questions_with_their_provenance(spatial_build: Path, name: str) -> None:
    kind, task, found = KINDS[name], task_named(name), 0
    for record in ShardReader(spatial_build):
        for _, asked, _ in spatial_questions(record, QuestionOptions(per_kind=4), 0, {name: kind}):
            for item in asked:
                found += 1
                assert item.kind == name
                assert np.isfinite([item.value, item.margin]).all()
                assert set(item.object_ids) <= {other.object_id for other in record.objects}
                assert all(0 <= frame < len(record) for frame in item.frames)
                assert item.form in FORMS.get(name, {""})
                assert len(item.names) == (1 if name == "count" else len(item.object_ids))
                assert all(f" {other}" in item.text for other in item.names)
                assert task.parse(item.answer) == (
                    item.answer if kind.metric == "letter" else pytest.approx(float(item.answer))
                )
                if kind.metric == "letter":
                    assert len(item.options) == len(set(item.options)) >= 2
                    assert item.margin > 0
                    assert all(
                        f"{letter}. {text}" in item.text for letter, text in zip(LETTERS, item.options, strict=False)
                    )
        asked_as_task = questions(record, name, QuestionOptions(), np.random.default_rng(0))
        assert all(question.text.startswith(IMAGE * len(record)) for question in asked_as_task)
    assert found > 0


def test_the_command_writes_questions_and_counts_what_is_refused(
    spatial_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "questions.jsonl"
    assert main(["questions", str(spatial_build), "--out", str(out), "--kinds", "distance", "size", "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert Counter(line["kind"] for line in lines) == told["asked"]
    assert {"id", "key", "scene_id", "kind", "text", "answer", "value", "margin", "object_ids"} <= lines[0].keys()
    assert len({line["id"] for line in lines}) == len(lines)
    assert told["refused"].keys() == {"distance", "size"}
    assert main(["questions", str(spatial_build), "--kinds", "distanse"]) == 2
    assert "distanse" in capsys.readouterr().err
