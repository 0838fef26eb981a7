"""Reading what models write: bent JSON is read as what it means, and no text raises, costs more than its length or
runs.
"""

from __future__ import annotations

import json
import math
import sys
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapdata.tasks import (
    captioning,
    conversation,
    detection,
    detection_compat,
    grounding,
    grounding_box,
    grounding_frame,
    pointmap,
)
from gapdata.tasks.chat import MAX_CHARACTERS, Unparsable, entries, read_json, whole_number
from gapdata.tasks.detection import DetectionAnswer, TextBox

CHAIR = DetectionAnswer(boxes=(TextBox(label="chair", values=(1, 2, 3, 1, 1, 1, 0, 0, 0)),))
READERS = (
    detection.parse,
    detection_compat.parse_lines,
    pointmap.parse,
    pointmap.parse_several,
    grounding.parse,
    grounding_frame.parse,
    grounding_box.parse,
    captioning.parse,
)
BENT = {
    "single quotes": "[{'label': 'chair', 'bbox_3d': [1, 2, 3, 1, 1, 1, 0, 0, 0]}]",
    "trailing commas": '[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0,],},]',
    "the paper's key": '[{"label": "chair", "box_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]',
    "no list": '{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
    "prose and a fence": 'Here:\n```json\n[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]\n```\nDone.',
    "numbers in prose": 'At [1, 2, 3] {see it}: [{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}] it\'s.',
    "pretty printing": json.dumps([{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}], indent=4),
    "signs and exponents": '[{"label": "chair", "bbox_3d": [+1.0, 2e0, .3e1, 1, 1, 1, 0, 0, 0]}]',
    "no closing brackets": '[{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
    "a tuple": "[{'label': 'chair', 'bbox_3d': (1, 2, 3, 1, 1, 1, 0, 0, 0)}]",
    "Python's words": "[{'label': 'chair', 'ok': True, 'id': None, 'bbox_3d': [1, 2, 3, 1, 1, 1, 0, 0, 0]}]",
    "keys without quotes": '[{label: "chair", bbox_3d: [1, 2, 3, 1, 1, 1, 0, 0, 0]}]',
    "typographic quotes": "[{“label”: “chair”, “bbox_3d”: [1, 2, 3, 1, 1, 1, \u22120, 0, 0]}]",
    "escapes": '[{"label": "\\u0063hair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]',
    "a wrapping object": '{"objects": [{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]}',
    "groups of three": '[{"label": "chair", "bbox_3d": [[1, 2, 3], [1, 1, 1], [0, 0, 0]]}]',
    "a dictionary of numbers": '[{"label": "chair", "bbox_3d": {"x_center": 1, "y_center": 2, "z_center": 3, '
    '"x_size": 1, "y_size": 1, "z_size": 1, "yaw": 0, "pitch": 0, "roll": 0}}]',
    "a dictionary of groups": '[{"label": "chair", "bbox_3d": {"c": [1, 2, 3], "s": [1, 1, 1], "r": [0, 0, 0]}}]',
    "strange spaces": '\ufeff[\u00a0{"label"\u2003:\t"chair" ,\r\n"bbox_3d": [1,2,3,1,1,1,0,0,0]}]',
}
UNUSABLE = {
    "eight numbers": "[1, 2, 3, 1, 1, 1, 0, 0]",
    "not a number": "[1, 2, 3, 1, 1, 1, 0, 0, NaN]",
    "infinite": "[1, 2, 3, 1, 1, 1, 0, 0, 1e999]",
    "a boolean": "[1, 2, 3, 1, 1, 1, 0, 0, true]",
    "a negative size": "[1, 2, 3, -0.1, 1, 1, 0, 0, 0]",
    "text": '"1 2 3 1 1 1 0 0 0"',
    "no box": "null",
}
HOSTILE = [
    "[",
    "{",
    '{"a":',
    "[[",
    "'",
    '{"a',
    "\\",
    "9",
    "[1,",
    '{"":[',
    "\u0660",
    "{a:",
    "“",
    "((",
    "-",
    '{"label":',
    "\n",
]


@pytest.mark.parametrize("text", BENT.values(), ids=BENT.keys())
def test_bent_json_is_read_as_what_it_means(text: str) -> None:
    assert detection.parse(text) == CHAIR


@pytest.mark.parametrize("numbers", UNUSABLE.values(), ids=UNUSABLE.keys())
def test_an_entry_without_nine_usable_numbers_is_left_out_and_counted(numbers: str) -> None:
    good = '{"label": "bed", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}'
    answer = detection.parse(f'[{{"label": "chair", "bbox_3d": {numbers}}}, {good}]')
    assert isinstance(answer, DetectionAnswer)
    assert [box.label for box in answer.boxes] == ["bed"]
    assert answer.rejected == 1
    assert grounding_box.parse(f'{{"bbox_3d": {numbers}}}') == Unparsable("bbox_3d is not nine finite numbers")


def test_text_without_an_answer_says_why() -> None:
    assert detection.parse("I see nothing.") == Unparsable("no JSON list")
    assert detection.parse("[]") == DetectionAnswer(boxes=())
    assert detection.parse("[1, 2]") == Unparsable("no entry with a label and nine finite numbers")
    assert pointmap.parse("somewhere") == Unparsable("no JSON object with the key pointmap")
    assert pointmap.parse('{"pointmap": [1, 2]}') == Unparsable("pointmap is not three finite numbers")
    assert pointmap.parse_several("[1]") == Unparsable("no entry with a mark and a pointmap")
    assert grounding_frame.parse('{"bbox_3d": 1}') == Unparsable("no JSON object with the key frame")
    assert grounding_frame.parse('{"frame": 32}', frames=32) == Unparsable("frame is not a position in the view")
    assert grounding.parse('{"frame": 3}') == Unparsable("bbox_3d is not nine finite numbers")
    assert grounding.parse('{"frame": 3.5}') == Unparsable("frame is not a position in the view")
    assert grounding_box.parse("none") == Unparsable("no JSON object with the key bbox_3d")
    assert captioning.parse("```\n```") == Unparsable("empty caption")
    assert conversation.parse("riddle", "42") == Unparsable("answers to the task riddle are not parsed")


@settings(max_examples=300)
@given(st.text(alphabet="[]{}()\"'\\:,.-+0123456789eENant u\n`lbox_3dpmframek“”", max_size=400) | st.text(max_size=200))
def test_no_text_raises(text: str) -> None:
    for read in READERS:
        read(text)


@pytest.mark.parametrize("unit", HOSTILE)
def test_hostile_repetition_is_read_with_bounded_nesting(unit: str) -> None:
    limit = sys.getrecursionlimit()
    assert isinstance(read_json(unit * 100_000), list)
    assert sys.getrecursionlimit() == limit


@pytest.mark.parametrize("unit", HOSTILE)
def test_reading_costs_no_more_than_in_proportion_to_the_length(unit: str) -> None:
    def seconds(length: int) -> float:
        text = (unit * length)[:length]
        best = math.inf
        for _ in range(2):
            start = time.process_time()
            # The other tasks read by the same scanner as detection.
            for read in (detection.parse, detection_compat.parse_lines, captioning.parse):
                read(text)
            best = min(best, time.process_time() - start)
        return best

    # Sixteen times the length; quadratic reading would take 256 times as long.
    assert seconds(MAX_CHARACTERS) < 80 * max(seconds(MAX_CHARACTERS // 16), 1e-3)


def test_entries_are_found_wherever_they_are_wrapped() -> None:
    values = read_json('{"answer": {"list": [{"a": 1}, [{"a": {"a": 2}}]]}} {} [{"b": 1}]')
    assert entries(values, ("a",)) == [{"a": 1.0}, {"a": {"a": 2.0}}, {"b": 1.0}]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (3.0, 3),
        ("3", 3),
        (" Frame-12 ", 12),
        ("frame 0", 0),
        (3.5, None),
        (-1.0, None),
        (True, None),
        ("x", None),
        (None, None),
    ],
)
def test_a_frame_is_a_whole_number_however_it_is_written(value: object, expected: int | None) -> None:
    assert whole_number(value) == expected


COMPAT = '```json\n[\n\t{"label": "chair", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, -0.5, 0]},\n\t%s\n]```'


def test_the_line_wise_reader_takes_what_the_published_evaluation_takes() -> None:
    answer = detection_compat.parse_lines(COMPAT % "{'label': 'bed', 'bbox_3d': (1, 2, 3, 1, 1, 1, 0, 0, 0)}")
    assert [(box.label, box.values) for box in answer.boxes] == [
        ("chair", (1, 2, 3, 1, 1, 1, 0, -0.5, 0)),
        ("bed", (1, 2, 3, 1, 1, 1, 0, 0, 0)),
    ]
    assert answer.rejected == 0


LOST = {
    "spread over lines": '{"label": "bed",\n"bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
    "JSON's words": '{"label": "bed", "sure": true, "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}',
    "a list in a line": '[{"label": "bed", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0, 0]}]',
    "cut off": '{"label": "bed", "bbox_3d": [1, 2, 3, 1, 1',
    "a call": '{"label": "bed", "bbox_3d": __import__("os").getcwd()}',
    "words for numbers": '{"label": "bed", "bbox_3d": ["one", 2, 3, 1, 1, 1, 0, 0, 0]}',
    "deep": "label" + "(" * 3000,
}


@pytest.mark.parametrize("entry", LOST.values(), ids=LOST.keys())
def test_the_line_wise_reader_loses_what_the_published_evaluation_loses(entry: str) -> None:
    answer = detection_compat.parse_lines(COMPAT % entry)
    assert [box.label for box in answer.boxes] == ["chair"]
    assert answer.rejected == sum("bbox_3d" in line or "label" in line for line in entry.split("\n"))


def test_the_line_wise_reader_keeps_a_box_of_eight_numbers_as_one_that_overlaps_nothing() -> None:
    answer = detection_compat.parse_lines(COMPAT % '{"label": "bed", "bbox_3d": [1, 2, 3, 1, 1, 1, 0, 0]}')
    assert [box.label for box in answer.boxes] == ["chair", "bed"]
    assert all(math.isnan(value) for value in answer.boxes[1].values)
