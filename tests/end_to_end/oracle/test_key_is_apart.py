"""The key of spatial questions shares no module with their generator, and has a grammar of its own."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.end_to_end.oracle.key.grammar import SENTENCES, SLOT, Asked, NotUnderstood, Sentence, parse, render

KEY = Path(__file__).parent / "key"
MODULES = sorted(KEY.glob("*.py"))
ALLOWED = ("gapdata.synthetic.", "tests.end_to_end.oracle.key")
LIBRARIES = sys.stdlib_module_names | {"numpy", "cv2", "open3d"}
OF_RECORDS = ("record", "Record", "instances", "camera_to_world", "visible_pixels")


def imported(path: Path) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0
            assert node.module
            found.add(node.module)
    return found


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_of_this_package_the_key_imports_the_rooms_alone(path: Path) -> None:
    for name in imported(path):
        assert name.partition(".")[0] in LIBRARIES or name.startswith(ALLOWED), f"{path.name} imports {name}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: path.stem)
def test_the_key_is_told_nothing_of_records(path: Path) -> None:
    names = {node.id for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Name)}
    names |= {node.attr for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Attribute)}
    assert not names & set(OF_RECORDS)


def test_the_key_has_modules() -> None:
    assert len(MODULES) > 10


WORDS = st.lists(st.sampled_from(("chair", "office", "tv", "stand", "to", "the", "left")), min_size=1, max_size=3)
NAMES = WORDS.map(" ".join)


@st.composite
def asked_by(draw: st.DrawFn, sentence: Sentence) -> Asked:
    slots = SLOT.findall(sentence.text)
    count = 3 if sentence.kind == "route" else slots.count("name")
    names = draw(
        st.lists(st.sampled_from(("chair", "office chair", "tv stand", "lamp")), min_size=count, max_size=count)
    )
    frames = draw(st.lists(st.integers(0, 40), min_size=slots.count("frame"), max_size=slots.count("frame")))
    options = draw(st.lists(NAMES, min_size=sentence.options[0], max_size=sentence.options[1], unique=True))
    return Asked(sentence.kind, sentence.form, tuple(names), tuple(frames), tuple(options))


@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda sentence: f"{sentence.kind} {sentence.form}")
@given(data=st.data())
def test_what_the_grammar_writes_it_reads_as_the_same(sentence: Sentence, data: st.DataObject) -> None:
    asked = data.draw(asked_by(sentence))
    assert parse(render(asked)) == asked


@pytest.mark.parametrize(
    "text",
    [
        "How large is the floor of this room?",
        "How large is the floor of this room? Answer in square metres. ",
        "In frame 0, how far is the point at the red cross from the camera, in a straight line? Answer in metres.",
        "In which order do these appear first in the frames?",
        "In which order do these appear first in the frames?\nA. chair, lamp\nC. lamp, chair\nAnswer with the letter.",
        "In which order do these appear first in the frames?\nA. chair, lamp\nB. lamp, chair",
        "Which of these is nearest to the lamp, measured between nearest points?\nA. chair\nB. chair\n"
        "Answer with the letter.",
        "I stand at the bed and face the lamp. I walk to the chair, then turn and walk to the desk. How do I turn at "
        "the lamp, where back means a turn of at least 135 degrees, and straight on one of at most 45?"
        "\nA. left\nB. right\nC. back\nD. straight on\nAnswer with the letter.",
    ],
)
def test_the_grammar_has_no_other_texts(text: str) -> None:
    with pytest.raises(NotUnderstood):
        parse(text)
