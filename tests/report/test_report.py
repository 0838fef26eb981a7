"""The build report is one file that shows the build as it is, whatever the build holds, and runs nothing but itself."""

from __future__ import annotations

import base64
import json
import re
import shutil
import zlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from gapdata.commands.main import main
from gapdata.errors import ShardError
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records.codec import encode_npy
from gapdata.records.schema import Record
from gapdata.report.charts import bin_edges
from gapdata.report.clouds import record_cloud
from gapdata.report.contents import chosen_views, worst_views
from gapdata.report.figures import FIGURES
from gapdata.report.markup import data_block, tag
from gapdata.report.page import TABLE_ROWS, report_page
from gapdata.shards.index import read_index
from gapdata.sources.registry import SOURCES
from tests.support.reports import EVIL, Page, build, named_by_a_villain, page
from tests.support.scannet_scenes import write_scene
from tests.support.showing import room_record

__all__ = ["page"]


def test_the_command_writes_one_file_and_says_so(
    inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "page.html"
    assert main(["report", str(inline_build), "--out", str(out), "--views", "2", "--json"]) == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts["path"] == str(out)
    assert facts["bytes"] == out.stat().st_size
    assert (facts["records"], facts["views"], facts["damaged"]) == (read_index(inline_build).num_rows, 2, {})
    assert list(tmp_path.iterdir()) == [out]


def test_equal_builds_give_equal_bytes(inline_build: Path, page: bytes, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / inline_build.name
    shutil.copytree(inline_build, copy)
    assert report_page(copy, 3)[0] == page


def test_the_page_needs_nothing_but_itself(page: bytes) -> None:
    parsed = Page(page)
    addresses = [
        value for _, attributes in parsed.elements for name, value in attributes.items() if name in ("src", "href")
    ]
    assert addresses
    assert all(address is not None and address.startswith(("data:image/", "#")) for address in addresses)
    assert b"http://" not in page.replace(b"http://www.w3.org", b"")
    assert b"https://" not in page.replace(SOURCES["scannet"].terms.encode(), b"")  # told, not linked


def test_every_control_has_a_name_and_every_picture_a_text(page: bytes) -> None:
    parsed = Page(page)
    for name, attributes in parsed.elements:
        if name == "img":
            assert attributes.get("alt") is not None
        if name in ("svg", "canvas"):
            assert "aria-label" in attributes or attributes.get("aria-hidden") == "true"
    ids = [attributes["id"] for _, attributes in parsed.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = {value[1:] for _, attributes in parsed.elements if (value := attributes.get("href"))}
    assert targets <= set(ids)


def test_the_figures_of_the_page_are_those_of_the_index_and_the_plan(inline_build: Path, page: bytes) -> None:
    parsed = Page(page)
    index, plan = read_index(inline_build), json.loads((inline_build / "plan.json").read_text())
    assert plan["fingerprint"] in parsed.text
    columns = {column["name"]: column["values"] for column in parsed.blocks["record-data"]["columns"]}
    assert columns["key"] == index.column("key").to_pylist()
    assert columns["prompts"] == index.column("prompts").to_pylist()
    assert columns["bytes"] == [
        round(sum(member["size"] for member in members) / 1000) for members in index.column("members").to_pylist()
    ]
    for figure in FIGURES:
        stored = [None if value is None else value * figure.scale for value in index.column(figure.name).to_pylist()]
        assert columns[figure.name] == pytest.approx(stored, abs=0.51 * 10**-figure.digits)


def test_losses_and_what_was_quarantined_are_named(small_dataset: Path, tmp_path: Path) -> None:
    shutil.copytree(small_dataset, tmp_path / "data")
    broken = tmp_path / "data" / "scans" / "scene0002_00" / "scene0002_00.sens"
    broken.write_bytes(broken.read_bytes()[:2000])
    shards = build(tmp_path / "data", tmp_path / "shards")
    parsed = Page(report_page(shards, 2)[0])
    report = json.loads((shards / "report.json").read_text())
    assert report["quarantined"]
    for item in report["quarantined"]:
        assert item["problem"] in parsed.text
    for row in report["losses"]:
        assert row["reason"] in parsed.text
        assert row["first"] in parsed.text


def test_a_build_without_annotation_is_shown_and_said_to_be_one(tmp_path: Path) -> None:
    write_scene(tmp_path / "data" / "scans" / "scene0000_00", frames=8, annotated=False)
    content, facts = report_page(build(tmp_path / "data", tmp_path / "shards"), 4)
    parsed = Page(content)
    assert facts["views"] == len(parsed.blocks["cloud-data"]) > 0
    assert "Without annotation: 1 scene." in parsed.text
    assert "This build has no prompts." in parsed.text


def test_a_build_without_records_is_a_page_that_says_so(tmp_path: Path) -> None:
    write_scene(tmp_path / "data" / "scans" / "scene0000_00", frames=2, lost=(0, 1))
    content, facts = report_page(build(tmp_path / "data", tmp_path / "shards"), 4)
    assert (facts["records"], facts["views"]) == (0, 0)
    assert "This build has no records." in Page(content).text


def test_what_a_damaged_tar_hides_is_named_and_the_rest_shown(
    inline_build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shards = tmp_path / "shards"
    shutil.copytree(inline_build, shards)
    tar = shards / "shard-000001.tar"
    tar.write_bytes(tar.read_bytes()[: tar.stat().st_size // 3])
    out = tmp_path / "page.html"
    assert main(["report", str(shards), "--out", str(out), "--json"]) == 4
    facts = json.loads(capsys.readouterr().out)
    damaged = {key for key in facts["damaged"] if key.startswith("scene0001_00")}
    assert damaged == set(facts["damaged"]) != set()
    text = Page(out.read_bytes()).text
    assert all(key in text for key in damaged)
    assert "truncated" in text


def test_markup_in_names_is_text(inline_build: Path, tmp_path: Path) -> None:
    content, facts = report_page(named_by_a_villain(inline_build, tmp_path / "shards"), 8)
    assert not facts["damaged"]
    parsed = Page(content)
    assert [attributes.get("type") for name, attributes in parsed.elements if name == "script"] == [
        "application/json",
        "application/json",
        None,
    ]
    assert not any(name.startswith("on") for _, attributes in parsed.elements for name in attributes)
    assert EVIL in parsed.text
    assert "<script>a()" in parsed.text
    assert EVIL in parsed.blocks["record-data"]["columns"][1]["values"]


@given(st.text(), st.text())
@settings(max_examples=60)
def test_any_text_survives_the_page_as_text(inside: str, attribute: str) -> None:
    parsed = Page(str(tag("p", inside, title=attribute)).encode("utf-8", "replace"))
    assert [name for name, _ in parsed.elements] == ["p"]
    assert parsed.text == inside.encode("utf-8", "replace").decode()
    block = str(data_block("data", [inside, attribute]))
    assert Page(block.encode()).blocks["data"] == [inside, attribute]
    assert block.count("<") == 2


@pytest.mark.parametrize("arguments", [["nowhere"], ["."], ["{build}", "--out", "nowhere/page.html"]])
def test_a_request_that_cannot_be_met_is_one_line(
    inline_build: Path,
    arguments: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["report", *(argument.format(build=inline_build) for argument in arguments)]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert ("nowhere" in error) or ("no plan.json" in error)
    assert list(tmp_path.iterdir()) == []


def decoded(cloud: dict[str, Any]) -> tuple[NDArray[np.uint16], NDArray[np.uint8]]:
    """Millimetres and places of objects, (F, h, w), from what the page gets, by another way than its script."""
    width, height = cloud["grid"]
    shape = (len(cloud["frames"]), height, width)
    low, high = (
        np.frombuffer(zlib.decompress(base64.b64decode(cloud["depth"])), np.uint8).reshape(2, *shape).astype(int)
    )
    objects = np.frombuffer(zlib.decompress(base64.b64decode(cloud["objects"])), np.uint8).reshape(shape)
    return (np.cumsum(low + 256 * high, axis=2) % 65_536).astype(np.uint16), objects


def with_pointmap(record: Record, stride: int = 8) -> Record:
    depth = np.stack([record.depth(frame) for frame in range(len(record))])
    stored = first_frame_pointmap(depth, record.cameras, record.camera_to_first, stride)
    return replace(record, members={**record.members, "pointmap.npy": encode_npy(stored)})


def test_the_points_of_the_3d_view_are_those_of_the_pointmap() -> None:
    record = with_pointmap(room_record(frames=3, size=(256, 192), noise=0.001))
    cloud = record_cloud(record)
    millimetres, _ = decoded(cloud)
    stride, whole = cloud["stride"], record.pointmap()
    for frame, facts in enumerate(cloud["frames"]):
        pose, (fx, fy, cx, cy) = np.array(facts["pose"]).reshape(3, 4), facts["intrinsics"]
        v, u = np.indices(millimetres[frame].shape) * stride + stride // 2
        z = millimetres[frame] / 1000
        local = np.stack([z * (u - cx) / fx, z * (v - cy) / fy, z], axis=-1)
        points = local @ pose[:, :3].T + pose[:, 3]
        np.testing.assert_allclose(points, whole[frame][v, u], atol=0.003)


def test_the_objects_of_the_3d_view_are_those_of_the_masks_and_lie_in_their_boxes() -> None:
    record = with_pointmap(room_record(frames=2, size=(256, 192)))
    cloud = record_cloud(record)
    _, objects = decoded(cloud)
    v, u = np.indices(objects.shape[1:]) * cloud["stride"] + cloud["stride"] // 2
    points = record.pointmap()[:, v, u]
    for place, (item, box) in enumerate(zip(record.objects, cloud["boxes"], strict=True), start=1):
        corners = np.array(box["corners"]).reshape(8, 3)
        own = (points[objects == place] - np.array(item.center)) @ np.array(item.rotation)
        assert len(own)
        assert (np.abs(own) <= np.array(item.size) / 2 + 0.01).all()
        np.testing.assert_allclose(corners.mean(axis=0), item.center, atol=1e-3)


def test_a_record_that_claims_a_huge_image_is_refused_at_once() -> None:
    record = replace(with_pointmap(room_record(frames=2, size=(128, 96))), image_size=(2**40, 2**40))
    with pytest.raises(ShardError, match=r"is 128x96, expected 1099511627776x"):
        record_cloud(record)


def test_up_is_up_where_the_room_is_aligned() -> None:
    record = with_pointmap(room_record(frames=2, size=(128, 96), aligned=True))
    right, forward, up = np.array(record_cloud(record)["axes"])
    assert record.axis_alignment is not None
    to_room = record.axis_alignment @ record.camera_to_world[0]
    np.testing.assert_allclose(to_room[:3, :3] @ up, [0, 0, 1], atol=1e-3)
    np.testing.assert_allclose(np.cross(forward, up), right, atol=1e-3)


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=40), st.booleans())
def test_bars_cover_all_values_but_a_far_tail(values: list[float], whole: bool) -> None:
    shown = np.round(np.array(values)) if whole else np.array(values)
    edges = bin_edges(shown, whole=whole)
    steps = np.diff(edges)
    assert (steps > 0).all()
    assert len(steps) <= 40
    assert edges[0] <= shown.min()
    tolerance = 1e-9 * max(np.abs(shown).max(), 1)
    assert (shown > edges[-1] + tolerance).sum() <= max(1, 0.01 * len(shown))


@given(st.lists(st.sampled_from(["clip", "scene", "around"]), max_size=60), st.integers(1, 20))
@settings(max_examples=60)
def test_chosen_views_are_as_many_as_asked_for_and_of_every_kind(kinds: list[str], wanted: int) -> None:
    chosen = chosen_views(kinds, wanted)
    assert chosen == sorted(set(chosen))
    assert len(chosen) == min(wanted, len(kinds))
    assert len({kinds[at] for at in chosen}) == min(len(set(kinds)), len(chosen))


@given(st.lists(st.one_of(st.just(float("nan")), st.floats(0, 1)), max_size=50), st.sampled_from(FIGURES))
@settings(max_examples=60)
def test_the_worst_views_are_the_worst(values: list[float], figure: Any) -> None:
    numbers = np.array(values, dtype=np.float64)
    worst = worst_views(numbers, figure, 20)
    known = np.sort(numbers[np.isfinite(numbers)])
    expected = (known[::-1] if figure.worst_is_high else known)[:20]
    assert numbers[worst].tolist() == expected.tolist()


def test_the_table_says_where_it_ends(inline_build: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gapdata.report.page.TABLE_ROWS", 5)
    parsed = Page(report_page(inline_build, 1)[0])
    count = read_index(inline_build).num_rows
    assert TABLE_ROWS >= 1000
    assert len(parsed.blocks["record-data"]["columns"][0]["values"]) == 5
    assert f"The first 5 of {count:,} records" in parsed.text


def test_scripts_are_short_enough_to_read_and_have_no_markup_end() -> None:
    from importlib.resources import files

    for asset in (files("gapdata.report") / "assets").iterdir():
        text = asset.read_text("utf-8")
        assert max(map(len, text.splitlines())) <= 220, asset
        assert not re.search("</(script|style)|<!--", text), asset
