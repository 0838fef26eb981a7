"""A model's answers in the viewer: they are read as an evaluation wrote them and drawn with their error."""

from __future__ import annotations

import dataclasses
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.commands.main import main
from gapdata.errors import UsageError
from gapdata.geometry.boxes import EulerConvention
from gapdata.records.expressions import descriptions
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.show.scene.answers import Answers, answers_about
from gapdata.show.scene.exhibit import record_exhibit
from gapdata.show.scene.marks import ShownBox
from gapdata.show.scene.scene import scene_exhibit, scene_positions
from gapdata.show.sheet.parts import answer_table
from gapdata.show.sheet.sheet import INNER
from gapdata.show.window.navigation import WindowState, shown_pieces
from gapdata.tasks import detection, grounding, grounding_box
from gapdata.tasks.box_text import nine_numbers
from gapdata.tasks.predictions import read_predictions
from gapdata.tasks.targets import camera_box, described
from gapdata.tasks.task import QuestionOptions
from gapmodel.evaluation.predictions import PredictionFile, read_answers
from tests.support.builds import write_build
from tests.support.evaluations import scene_view
from tests.support.showing import part_of, room_record

SHIFT = (0.3, -0.4, 0.0)  # half a metre


@pytest.fixture(scope="module")
def record() -> Record:
    return room_record(3, (96, 72), aligned=True)


def point_line(
    record: Record, index: int, shift: tuple[float, ...] = (0.0, 0.0, 0.0), label: str = ""
) -> dict[str, str]:
    prompt = record.prompts[index]
    text = json.dumps({"label": label or prompt.label, "pointmap": np.add(prompt.point, shift).tolist()})
    return {"id": f"pointmap/{record.key}/{prompt.index}", "key": record.key, "text": text}


def boxes_line(
    record: Record, shift: tuple[float, ...] = (0.0, 0.0, 0.0), convention: EulerConvention = "extrinsic_zxy"
) -> dict[str, str]:
    boxes = [detection.text_box(item, QuestionOptions(convention=convention)) for item in detection.targets(record)]
    moved = [
        dataclasses.replace(box, values=(*np.add(box.values[:3], shift).tolist(), *box.values[3:])) for box in boxes
    ]
    return {"id": f"detection/{record.key}", "key": record.key, "text": detection.answer_text(moved)}


def write(path: Path, lines: list[dict[str, str]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return path


def answers(tmp_path: Path, record: Record, *lines: dict[str, str]) -> Answers:
    return answers_about(record, read_predictions(write(tmp_path / "answers.jsonl", list(lines))))


def test_a_true_answer_lies_on_the_truth_and_a_shifted_one_is_named_with_its_distance(
    record: Record, tmp_path: Path
) -> None:
    found = answers(tmp_path, record, point_line(record, 0), point_line(record, 1, SHIFT))
    for item, prompt, distance in zip(found.points, record.prompts, (0.0, 0.5), strict=False):
        assert item.number == prompt.index
        assert item.truth is not None
        assert np.allclose(item.truth, prompt.point)
        assert np.linalg.norm(item.point - item.truth) == pytest.approx(distance)
        assert item.note == f"{distance:.2f} m off"
    assert [row.error for row in found.rows] == ["0.00 m off", "0.50 m off"]


def test_a_wrong_label_is_named_beside_the_distance(record: Record, tmp_path: Path) -> None:
    found = answers(tmp_path, record, point_line(record, 0, label="unicorn"))
    assert found.rows[0].error == "0.00 m off, another label"
    assert found.rows[0].answer.startswith("unicorn (")


def test_boxes_are_drawn_where_the_answer_puts_them_with_their_overlap(record: Record, tmp_path: Path) -> None:
    found = answers(tmp_path, record, boxes_line(record))
    truth = {item.label: item for item in record.objects}
    assert len(found.boxes) == len(record.objects)
    for item in found.boxes:
        assert np.allclose(item.box.center, truth[item.label].center, atol=0.006)
        assert float(item.note.removeprefix("IoU ")) > 0.9
    count = len(record.objects)
    assert f"boxes: {count} answers for {count} objects, {count} found (IoU 0.25 and more)" in found.notes
    far = answers(tmp_path, record, boxes_line(record, (5.0, 0.0, 0.0)))
    assert {item.note for item in far.boxes} == {"IoU 0.00"}
    assert all(row.error == "IoU 0.00, 5.00 m off" for row in far.rows)


@pytest.mark.parametrize("convention", ["extrinsic_zxy", "intrinsic_zxy"])
def test_angles_are_read_in_the_convention_that_the_questions_were_put_in(
    record: Record, tmp_path: Path, convention: EulerConvention
) -> None:
    (tmp_path / "predictions").mkdir()
    write(tmp_path / "predictions" / "part-000.jsonl", [boxes_line(record, convention=convention)])
    for said in ("extrinsic_zxy", "intrinsic_zxy"):
        asked = {
            "asking": {"detection": {"frames": 0, "options": {"convention": said, "wording": "gap"}}},
            "build": "b",
        }
        (tmp_path / "asked.json").write_text(json.dumps(asked))
        for place in (tmp_path, tmp_path / "predictions" / "part-000.jsonl"):
            found = answers_about(record, read_predictions(place))
            overlaps = [float(item.note.removeprefix("IoU ")) for item in found.boxes]
            assert (min(overlaps) > 0.9) == (said == convention), (said, overlaps)


def test_a_described_object_is_boxed_in_the_camera_that_the_answer_names(tmp_path: Path) -> None:
    record = scene_view(3, "val")
    lines = []
    for number, expression in enumerate(descriptions(record)):
        item = described(record, expression)
        for frame in (0, len(record) - 1):
            values = nine_numbers(camera_box(record, item, frame), "extrinsic_zxy")
            one = {"id": f"grounding/{record.key}/{number}", "text": grounding.answer_text(frame, values)}
            two = {"id": f"grounding_box/{record.key}/{number}/{frame}", "text": grounding_box.answer_text(values)}
            lines += [one, two]
    assert lines
    found = answers(tmp_path, record, *lines)
    assert len(found.boxes) == 3 * len(descriptions(record))  # of two answers to one question the first counts
    assert min(float(item.note.removeprefix("IoU ")) for item in found.boxes) > 0.8


def test_the_viewer_reads_what_the_evaluation_writes(record: Record, tmp_path: Path) -> None:
    for rank, shift in ((0, SHIFT), (1, (1.0, 0.0, 0.0))):
        with PredictionFile(tmp_path, rank) as file:
            file.append([point_line(record, 0, shift), point_line(record, 1 + rank)])
    with (tmp_path / "predictions" / "part-001.jsonl").open("a") as file:
        file.write('{"id": "pointmap/cut')
    theirs = read_answers(tmp_path)
    ours = read_predictions(tmp_path)
    texts = {
        f"{reply.kind}/{key}/{reply.numbers[0]}": reply.text for key, all_of in ours.replies.items() for reply in all_of
    }
    assert texts == theirs
    assert "line 3 of part-001.jsonl is cut off and left out" in ours.notes


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("not json\n", "not a JSON object"),
        ('{"id": "a"}\n', "'text' is missing"),
        ("[]\n", "not a JSON object"),
        ("7\n", "not a JSON ob"),
    ],
)
def test_a_damaged_line_is_named_by_its_number(record: Record, tmp_path: Path, line: str, reason: str) -> None:
    path = write(tmp_path / "answers.jsonl", [point_line(record, 0)])
    path.write_text(path.read_text() + line + json.dumps(point_line(record, 1)) + "\n")
    with pytest.raises(
        UsageError, match=rf"answers\.jsonl: line 2 is not a prediction: {reason}.*; a line is a JSON object"
    ):
        read_predictions(path)


def test_a_line_without_end_is_not_read_into_memory(tmp_path: Path) -> None:
    path = tmp_path / "answers.jsonl"
    path.write_bytes(b'{"id": "' + b"x" * 3_000_000)
    with pytest.raises(UsageError, match="line 1 is not a prediction: longer than 1048576 bytes"):
        read_predictions(path)


def test_what_cannot_be_read_or_drawn_is_counted_and_named(record: Record, tmp_path: Path) -> None:
    key = record.key
    found = answers(
        tmp_path,
        record,
        {"id": f"pointmap/{key}/1", "text": "I do not know"},
        {"id": f"pointmap/{key}/2", "text": "no idea"},
        {"id": f"pointmap/{key}/77", "text": '{"pointmap": [1, 2, 3]}'},
        {"id": f"captioning/{key}/0", "text": "a chair"},
        {"id": f"pointmap/{key}/3", "text": '{"pointmap": [1e30, 0, 0], "label": "far"}'},
    ).drawn
    assert "2 answers that cannot be read: no JSON object with the key pointmap" in found.notes
    assert "1 answer that cannot be read: the record has no prompt 77" in found.notes
    assert "1 answer of captioning in words, not drawn" in found.notes
    assert "1 answer more than 30 m away, not drawn" in found.notes
    assert found.points == ()
    assert len(found.rows) == 1


@settings(max_examples=30, deadline=None)
@given(label=st.text(alphabet=st.characters(exclude_categories=()), max_size=300))
def test_whatever_label_a_model_writes_can_be_drawn(label: str) -> None:
    record = room_record(1, (64, 48))
    text = json.dumps({"label": label, "pointmap": list(record.prompts[0].point)})
    line = {"id": f"pointmap/{record.key}/1", "text": text}
    found = _answers_from(line, record)
    assert len(found.points) == 1
    assert len(found.points[0].label) <= 40
    assert answer_table(found.rows, INNER).shape[1] == INNER


def _answers_from(line: dict[str, str], record: Record) -> Answers:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return answers_about(record, read_predictions(write(Path(folder) / "a.jsonl", [line])))


def test_answers_are_drawn_beside_the_truth_and_only_they_go_when_hidden(record: Record, tmp_path: Path) -> None:
    predictions = read_predictions(
        write(tmp_path / "a.jsonl", [point_line(record, 0, SHIFT), boxes_line(record, (0.1, 0.0, 0.0))])
    )
    plain, shown = record_exhibit(record), record_exhibit(record, predictions=predictions)
    pieces, before = shown_pieces(shown, WindowState()), shown_pieces(plain, WindowState())
    assert {name for name in pieces if not name.startswith("answers/")} == set(before)
    hidden = shown_pieces(shown, WindowState(hidden=frozenset({"answers"})))
    assert set(hidden) == set(before)
    boxes = [item for item in shown.boxes if item.predicted]
    assert all(isinstance(item, ShownBox) and item.note.startswith("IoU 0.") for item in boxes)
    assert not plain.answered
    assert shown.answered


def test_answers_about_a_view_find_their_place_in_the_whole_scene(tmp_path: Path) -> None:
    whole = room_record(4, (96, 72), aligned=True, orbit=1.0)
    views = [part_of(whole, (0, 1), "room0000_00-clip-00000"), part_of(whole, (2, 3), "room0000_00-clip-00060")]
    build = write_build(tmp_path / "build", views)
    lines = [boxes_line(view) for view in views] + [point_line(views[0], 0, SHIFT)]
    exhibit = scene_exhibit(
        ShardReader(build),
        scene_positions(build, "room0000_00"),
        predictions=read_predictions(write(tmp_path / "a.jsonl", lines)),
    )
    truth = {item.label: item.box.center for item in exhibit.boxes if not item.predicted}
    answered = [item for item in exhibit.boxes if item.predicted]
    assert len(answered) >= len(truth)
    for item in answered:
        assert np.allclose(item.box.center, truth[item.label], atol=0.01)
    (point,) = [item for item in exhibit.points if item.predicted]
    assert point.truth is not None
    assert np.linalg.norm(point.point - point.truth) == pytest.approx(0.5, abs=0.01)


@pytest.fixture(scope="module")
def build(record: Record, tmp_path_factory: pytest.TempPathFactory) -> Path:
    other = dataclasses.replace(record, key="room0000_00-clip-00090")
    return write_build(tmp_path_factory.mktemp("predicted") / "build", [record, other])


def test_without_a_key_the_first_record_with_an_answer_is_shown(build: Path, record: Record, tmp_path: Path) -> None:
    other = dataclasses.replace(record, key="room0000_00-clip-00090")
    path = write(tmp_path / "a.jsonl", [point_line(other, 0, SHIFT)])
    target = tmp_path / "x.glb"
    assert main(["view", str(build), "--predictions", str(path), "--save", str(target)]) == 0
    import trimesh

    model = trimesh.load(target)
    assert model.metadata["key"] == other.key
    place = len(record.prompts)
    center = np.asarray(model.geometry[f"answers/{place} prompt 1 answer"].vertices).mean(axis=0)
    assert np.allclose(center, np.add(record.prompts[0].point, SHIFT), atol=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["--key", "room0000_00-clip-00090"],
            "has no answer about record room0000_00-clip-00090; it answers about room",
        ),
        (["--scene", "room0000_00"], ""),
    ],
)
def test_predictions_about_something_else_say_what_they_are_about(
    build: Path,
    record: Record,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    path = write(tmp_path / "a.jsonl", [point_line(record, 0)])
    status = main(["view", str(build), "--predictions", str(path), *arguments, "--save", str(tmp_path / "x.ply")])
    assert status == (2 if message else 0)
    assert message in capsys.readouterr().err
    alien = write(tmp_path / "b.jsonl", [{"id": "pointmap/elsewhere-clip-00000/1", "text": "{}"}])
    assert main(["view", str(build), "--predictions", str(alien), *arguments, "--save", str(tmp_path / "x.ply")]) == 2
    assert "it answers about elsewhere-clip-00000" in capsys.readouterr().err


def test_answers_about_another_build_are_refused_by_its_fingerprint(
    build: Path, record: Record, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The keys are the same in both builds: only the fingerprint tells that the prompts are not."""
    here = Path(shutil.copytree(build, tmp_path / "here"))
    (here / "plan.json").write_text(json.dumps({"engine": 1, "fingerprint": "a" * 64}))

    def view(place: Path) -> tuple[int, str]:
        status = main(["view", str(here), "--predictions", str(place), "--save", str(tmp_path / "x.glb")])
        return status, capsys.readouterr().err

    for name, fingerprint in (("own", "a" * 64), ("other", "b" * 64)):
        with PredictionFile(tmp_path / name, build=fingerprint) as file:
            file.append([point_line(record, 0)])
        lone = Path(shutil.copy(tmp_path / name / "predictions" / "part-000.jsonl", tmp_path / f"{name}.jsonl"))
        for place in (tmp_path / name, lone):
            status, said = view(place)
            assert status == (0 if name == "own" else 2), said
            assert ("holds answers about another build (fingerprint 'bbbbbbbbbbbb')" in said) == (name == "other")
            assert (tmp_path / "x.glb").exists() == (name == "own")
            (tmp_path / "x.glb").unlink(missing_ok=True)
    # Evaluations of earlier versions say it beside the lines only.
    with PredictionFile(tmp_path / "old") as file:
        file.append([point_line(record, 0)])
    (tmp_path / "old" / "asked.json").write_text(json.dumps({"asking": {}, "build": "c" * 64}))
    assert view(tmp_path / "old")[0] == 2
    (tmp_path / "old" / "asked.json").unlink()
    assert view(tmp_path / "old")[0] == 0


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("missing.jsonl", "missing.jsonl: does not exist; give a .jsonl file"),
        ("", "is a folder without predictions/part"),
    ],
)
def test_a_place_without_predictions_is_named(tmp_path: Path, place: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_predictions(tmp_path / place)


@pytest.mark.parametrize("asked", ["{", "[]", '{"asking": {"detection": {"options": {"convention": "upside_down"}}}}'])
def test_an_unreadable_way_of_asking_is_noted_and_not_trusted(record: Record, tmp_path: Path, asked: str) -> None:
    (tmp_path / "asked.json").write_text(asked)
    found = read_predictions(write(tmp_path / "a.jsonl", [boxes_line(record)]))
    assert found.askings == {}
    assert "asked.json cannot be read: boxes are read as extrinsic_zxy" in found.notes
