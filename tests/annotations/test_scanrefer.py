"""ScanRefer's sentences, whatever the line ends; JSON that is damaged, deep or endless is one clear error."""

from __future__ import annotations

import json
import tracemalloc
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gapdata.annotations.scanrefer import Description, read_descriptions
from gapdata.errors import FileError
from gapdata.files import json_items as json_items_module
from gapdata.files.json_items import json_items
from tests.support.annotation_records import sentence, write_json

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=4), inner, max_size=4),
    max_leaves=12,
)
one_file = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("indent", [None, 4])
def test_sentences_are_read_verbatim_with_integer_ids(tmp_path: Path, newline: str, indent: int | None) -> None:
    items = [sentence(ann_id="0"), sentence(ann_id=1, object_id=3), sentence("scene0707_00", "0")]
    path = write_json(tmp_path / "ScanRefer_filtered_train.json", items, newline=newline, indent=indent)
    found = read_descriptions(path)
    text = "this is a black chair. it is left of the table."
    assert found.scenes["scene0000_00"] == tuple(
        Description(scene_id="scene0000_00", object_id=3, object_name="office_chair", ann_id=ann_id, text=text)
        for ann_id in ("0", "1")
    )
    assert found.scenes["scene0707_00"][0].object_id == 0
    assert (found.report.split, found.report.taken, found.report.scenes) == ("train", 3, 2)


def test_what_is_left_out_is_counted_and_named(tmp_path: Path) -> None:
    items = [
        sentence(),
        sentence(description="another sentence"),
        sentence(object_id="x7"),
        sentence(object_id=1.5),
        sentence(object_id=True),
        sentence(object_id=float("nan")),
        sentence(ann_id=None),
        sentence(description="  "),
        sentence(description="\ud800"),
        sentence(object_name=5),
        sentence(scene_id="../scene0000_00"),
        sentence(scene_id="scene9999_00"),
        "no item",
    ]
    report = read_descriptions(write_json(tmp_path / "a.json", items), {"scene0000_00"}).report
    assert report.taken == 1
    assert report.ignored == {
        "no_ann_id": 1,
        "no_object_name": 1,
        "no_scene_id": 1,
        "no_text": 2,
        "not_an_object": 1,
        "object_id_is_not_an_integer": 4,
        "repeated_annotation": 1,
        "scene_not_in_data_set": 1,
    }
    assert report.items == len(items) == report.taken + sum(report.ignored.values())
    assert report.examples["object_id_is_not_an_integer"] == ("item 2: 'x7'", "item 3: 1.5", "item 4: True")
    assert any("item 11: 'scene9999_00'" in line for line in report.lines())
    json.dumps(report.to_dict(), allow_nan=False)


@pytest.mark.parametrize("block", range(1, 12))
def test_a_number_that_a_block_cuts_is_still_one_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    monkeypatch.setattr(json_items_module, "BLOCK", block)
    path = tmp_path / "numbers.json"
    path.write_text("[0.5,-1e+5,12E-3,7,-0.0, 100.25e10]")
    assert repr(list(json_items(path))) == repr([0.5, -1e5, 12e-3, 7, -0.0, 100.25e10])


@one_file
@given(
    items=st.lists(VALUES, max_size=6),
    indent=st.sampled_from([None, 1]),
    block=st.integers(1, 40),
    ascii_=st.booleans(),
)
def test_a_list_and_json_lines_are_read_in_pieces_as_if_whole(
    tmp_path: Path, items: list[Any], indent: int | None, block: int, ascii_: bool
) -> None:
    path = tmp_path / "items.json"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_items_module, "BLOCK", block)
        path.write_text(json.dumps(items, indent=indent, ensure_ascii=ascii_), "utf-8", "surrogatepass")
        assert repr(list(json_items(path))) == repr(items)
        lines = [[item] for item in items] if items and isinstance(items[0], list) else items
        path.write_text("\r\n".join(json.dumps({"item": item}, ensure_ascii=ascii_) for item in lines), "utf-8")
        assert repr(list(json_items(path))) == repr([{"item": item} for item in lines])


@one_file
@given(
    st.binary(max_size=60), st.sampled_from([b"", b"[", b'{"a":', b'[{"scene_id":"s","object_id":', b"\xef\xbb\xbf["])
)
def test_random_bytes_raise_only_annotation_errors(tmp_path: Path, data: bytes, head: bytes) -> None:
    path = tmp_path / "random.json"
    path.write_bytes(head + data)
    with suppress(FileError):
        read_descriptions(path)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[" * 10_000, "item 0 is nested too deeply, near character 1; download or write the file again"),
        (b'[{"a": 1}, {"a": }]', "item 1 is not JSON: Expecting value, near character 11"),
        (b'[{"a": 1} {"a": 2}]', "item 1 lacks a ']', near character 10"),
        (b'[{"a": 1}] 5', "item 1 is text after the end of the list"),
        (b'[{"a": 1}', "item 1 lacks a ']'"),
        (b"[" + b"9" * 5000 + b"]", "item 0 holds a number with thousands of digits"),
        (b'["\xff"]', "item 0 is not UTF-8: invalid start byte"),
        (b'{"a": [1, 2', "item 0 is not JSON"),
    ],
)
def test_a_damaged_file_names_the_item(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "damaged.json"
    path.write_bytes(content)
    with pytest.raises(FileError) as caught:
        list(json_items(path))
    assert str(caught.value).startswith(f"{path}: {problem}")


def test_nan_and_infinity_are_numbers_of_their_item_only(tmp_path: Path) -> None:
    path = tmp_path / "nan.json"
    path.write_text('[NaN, {"a": -Infinity}, 1]')
    assert repr(list(json_items(path))) == "[nan, {'a': -inf}, 1]"


def test_an_endless_string_is_refused_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_items_module, "MAX_ITEM", 1 << 20)
    monkeypatch.setattr(json_items_module, "BLOCK", 1 << 16)
    path = tmp_path / "endless.json"
    with open(path, "wb") as file:
        file.write(b'[{"a": "')
        file.seek(2 << 30)
        file.write(b'"}]')
    tracemalloc.start()
    with pytest.raises(FileError, match="item 0 is "):
        list(json_items(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 32 << 20


def test_a_long_file_is_never_in_memory_as_a_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "long.json"
    path.write_text("[" + ", ".join(json.dumps(sentence(ann_id=str(index))) for index in range(12_000)) + "]")
    assert path.stat().st_size > 2 << 20
    monkeypatch.setattr(json_items_module, "BLOCK", 1 << 16)
    tracemalloc.start()
    count = sum(1 for _ in json_items(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (count, peak < 1 << 20) == (12_000, True)
