"""The build report in a real browser: it draws, turns, filters and sorts, and runs nothing but itself."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from gapdata.report.page import report_page
from tests.support.browser import Browser, needs_browser
from tests.support.reports import EVIL, Page, build, named_by_a_villain, page
from tests.support.scannet_scenes import write_scene

__all__ = ["page"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as window:
        yield window


def shown(browser: Browser, page: bytes, folder: Path) -> None:
    """Open a page and wait for its points."""
    (folder / "page.html").write_bytes(page)
    browser.messages()
    browser.open(folder / "page.html")
    browser.settle()
    for _ in range(200):
        if browser.run("return Boolean(document.getElementById('cloud-status')?.textContent)"):
            break
        browser.settle()
    browser.settle()


def canvas_pixels(browser: Browser) -> NDArray[np.uint8]:
    """(n, 4) RGBA of a sample of the 3D view."""
    script = """
        const canvas = document.getElementById("cloud-canvas");
        const data = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
        const sample = [];
        for (let at = 0; at < data.length; at += 4 * 37) sample.push(...data.slice(at, at + 4));
        return sample;"""
    return np.array(browser.run(script), dtype=np.uint8).reshape(-1, 4)


def column(browser: Browser, place: int) -> list[str]:
    rows = "[...document.querySelectorAll('#records-table tbody tr')]"
    script = f"return {rows}.map((row) => row.cells[arguments[0]].textContent)"
    return [str(text) for text in browser.run(script, place)]


@needs_browser
@pytest.mark.slow
def test_the_page_opens_from_disk_without_a_word_on_the_console(browser: Browser, page: bytes, tmp_path: Path) -> None:
    shown(browser, page, tmp_path)
    assert browser.messages() == []
    assert browser.run("return document.documentElement.scrollWidth <= innerWidth")
    assert browser.run("return [...document.images].every((image) => image.loading === 'lazy' || image.complete)")
    assert (
        browser.run("return performance.getEntriesByType('resource').filter((e) => !e.name.startsWith('data:')).length")
        == 0
    )


@needs_browser
@pytest.mark.slow
def test_the_3d_view_draws_and_follows_mouse_wheel_keys_and_colours(
    browser: Browser, page: bytes, tmp_path: Path
) -> None:
    shown(browser, page, tmp_path)
    first = canvas_pixels(browser)
    background = np.array([236, 239, 242, 255])
    assert 0.1 < (first != background).any(axis=1).mean() < 1.0
    assert (first[:, 3] == 255).all()
    seen = [first]
    for act in (
        lambda: browser.drag("#cloud-canvas", (140, 40)),
        lambda: browser.wheel("#cloud-canvas", -300),
        lambda: browser.type("#cloud-canvas", "\ue012"),
        lambda: browser.run(
            "const c = document.getElementById('cloud-color'); c.value = 'frame'; c.dispatchEvent(new Event('input'))"
        ),
        lambda: browser.click("[data-layer=boxes]"),
    ):
        act()
        browser.settle()
        seen.append(canvas_pixels(browser))
        assert (seen[-1] != seen[-2]).any()
    browser.click("[data-layer=boxes]")
    browser.run(
        "const c = document.getElementById('cloud-color'); c.value = 'color'; c.dispatchEvent(new Event('input'))"
    )
    browser.click("#cloud-reset")
    browser.settle()
    assert (canvas_pixels(browser) == first).all()
    assert browser.messages() == []


@needs_browser
@pytest.mark.slow
def test_the_table_filters_and_sorts(browser: Browser, page: bytes, tmp_path: Path) -> None:
    shown(browser, page, tmp_path)
    keys = column(browser, 0)
    values = Page(page).blocks["record-data"]["columns"]
    count = len(values[0]["values"])
    assert len(keys) == min(count, 50)
    browser.type("#records-filter", "scene0001 CLIP")
    wanted = [key for key in values[0]["values"] if key.startswith("scene0001") and "clip" in key]
    assert [key.removesuffix(" 3D") for key in column(browser, 0)] == wanted != []
    assert (
        browser.run("return document.getElementById('records-count').textContent")
        == f"{len(wanted)} of {count} records"
    )
    browser.run(
        "const f = document.getElementById('records-filter'); f.value = ''; f.dispatchEvent(new Event('input'))"
    )
    place = next(at for at, item in enumerate(values) if item["name"] == "sharpness")
    heading = f"#records-table th:nth-child({place + 1}) button"
    for direction in ("ascending", "descending"):
        browser.click(heading)
        numbers = [float(text) for text in column(browser, place)]
        assert numbers == sorted(values[place]["values"], reverse=direction == "descending")[:50]
        assert (
            browser.run("return arguments[0] && document.querySelector('th[aria-sort]').ariaSort", heading) == direction
        )
    assert browser.messages() == []


@needs_browser
@pytest.mark.slow
def test_a_view_of_the_gallery_opens_in_3d_and_its_layers_can_be_switched(
    browser: Browser, page: bytes, tmp_path: Path
) -> None:
    shown(browser, page, tmp_path)
    key = Page(page).blocks["cloud-data"][-1]["key"]
    browser.run("document.querySelector(`.view .show-cloud[data-key='${arguments[0]}']`).click()", key)
    chosen = "const c = document.getElementById('cloud-record'); return c.options[c.selectedIndex].text"
    assert browser.run(chosen) == key
    visible = "return [...document.querySelectorAll(arguments[0])].filter((e) => e.checkVisibility()).length"
    for name, layer in (("marks", ".marks"), ("masks", ".mask"), ("depth", ".layers .depth")):
        before = browser.run(visible, layer)
        browser.run("document.getElementById(arguments[0]).click()", f"show-{name}")
        assert (browser.run(visible, layer) > 0) != (before > 0)


@needs_browser
@pytest.mark.slow
def test_the_answer_of_a_question_is_uncovered_by_a_click(browser: Browser, page: bytes, tmp_path: Path) -> None:
    shown(browser, page, tmp_path)
    seen = "return document.querySelector('.question .answer').checkVisibility()"
    assert browser.run("return document.querySelectorAll('.question').length") > 20
    assert not browser.run(seen)
    browser.run("document.querySelector('.question').scrollIntoView()")
    browser.click(".question summary")
    browser.settle()
    assert browser.run(seen)
    assert browser.run("return document.querySelectorAll('.question details[open]').length") == 1
    assert browser.messages() == []


@needs_browser
@pytest.mark.slow
def test_hostile_names_run_nothing(browser: Browser, inline_build: Path, tmp_path: Path) -> None:
    page = report_page(named_by_a_villain(inline_build, tmp_path / "shards"), 2)[0]
    shown(browser, page, tmp_path)
    assert browser.run("return document.title") == "shards: build report"
    assert browser.run("return document.querySelectorAll('script').length") == 3
    assert EVIL in column(browser, 1)
    assert browser.messages() == []


@needs_browser
@pytest.mark.slow
def test_even_a_script_that_got_into_the_page_would_not_run(browser: Browser, page: bytes, tmp_path: Path) -> None:
    shown(browser, page.replace(b"<main", b"<script>document.title = 'ran'</script><main"), tmp_path)
    assert browser.run("return document.title") != "ran"
    assert any("Content Security Policy" in message for message in browser.messages())


@needs_browser
@pytest.mark.slow
def test_a_page_without_records_opens_quietly(browser: Browser, tmp_path: Path) -> None:
    write_scene(tmp_path / "data" / "scans" / "scene0000_00", frames=2, lost=(0, 1))
    page = report_page(build(tmp_path / "data", tmp_path / "shards"), 4)[0]
    (tmp_path / "page.html").write_bytes(page)
    browser.open(tmp_path / "page.html")
    browser.settle()
    assert browser.messages() == []
