"""The page's examples of a new source and a new exit work as they stand, each from one file and one row."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gapdata.commands.main import main
from gapdata.export import registry as exits
from gapdata.shards.reader import ShardReader
from gapdata.sources import registry as sources
from tests.conftest import REPOSITORY
from tests.support.builds import overrides, write_build
from tests.support.scannet_scenes import COLOR
from tests.support.showing import room_record

PAGE = (REPOSITORY / "gapdata" / "README.md").read_text().split("## How to add")[1]


def install(heading: str, folder: Path, table: dict[str, Any], names: dict[str, Any]) -> None:
    """Write the file of an example to a folder of modules, and enter its row, with the module where it lies here."""
    section = PAGE.split(f"### {heading}\n")[1].split("\n### ")[0]
    (code,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (row,) = re.findall(r'`("\w+": [^`]+)`', section)
    (folder / f"{heading.split()[1]}_of_the_page.py").write_text(code)
    row = re.sub(r'module="[\w.]+"', f'module="{heading.split()[1]}_of_the_page"', row)
    exec(f"table.update({{{row}}})", {**names, "table": table})


@pytest.fixture
def modules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "modules"
    folder.mkdir()
    monkeypatch.syspath_prepend(folder)
    return folder


def test_the_example_of_a_source_is_built_and_recognised(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = dict(sources.SOURCES)
    install("a source", modules, table, {"Source": sources.Source})
    for name, row in table.items():
        monkeypatch.setitem(sources.SOURCES, name, row)
    scene = tmp_path / "data" / "kitchen"
    scene.mkdir(parents=True)
    depth = np.full((5, COLOR.height, COLOR.width), 1500, np.uint16)
    color = np.random.default_rng(0).integers(0, 255, (*depth.shape, 3), dtype=np.uint8)
    camera = [COLOR.fx, COLOR.fy, COLOR.cx, COLOR.cy]
    np.savez(scene / "frames.npz", color=color, depth=depth, camera_to_world=[np.eye(4)] * 5, intrinsics=camera)
    out = tmp_path / "shards"
    command = ["build-shards", "--arrays", str(scene.parent), "--out", str(out), *overrides(), "--executor", "inline"]
    assert main([*command, "--set", "clips.max_shift=0", "--set", "scene_views.enabled=false"]) == 0
    record = next(iter(ShardReader(out)))
    assert (record.key, record.source, record.frame_ids) == ("kitchen-clip-00000", "arrays", (0, 3))
    np.testing.assert_allclose(record.depth(0), 1.5)
    capsys.readouterr()
    assert main(["inspect", str(scene), "--json"]) == 2
    assert main(["inspect", str(scene.parent), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["source_kinds"] == {"arrays": 1}


def test_the_example_of_an_exit_writes_its_file(
    modules: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table = dict(exits.EXITS)
    install("an exit", modules, table, {"Exit": exits.Exit})
    for name, row in table.items():
        monkeypatch.setitem(exits.EXITS, name, row)
    record = room_record(2, (64, 48))
    build = write_build(tmp_path / "build", [record])
    assert main(["export", str(build), "--format", "table", "--out", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.endswith("1 lines in views.csv\n")
    with open(tmp_path / "out" / "views.csv", newline="") as file:
        assert list(csv.reader(file)) == [[record.key, record.split, "2", str(len(record.objects))]]
