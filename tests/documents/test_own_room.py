"""The page's steps from a capture to a trainable room work for every app that it names."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

import gapdata
from gapdata.commands.main import main
from tests.conftest import REPOSITORY
from tests.support.phones import write_twin

SECTION = (REPOSITORY / "gapdata/README.md").read_text().split("## Bring your own room\n")[1].split("\n## ")[0]
FIRST, *LATER = [
    [shlex.split(line.removeprefix("$ gapdata ")) for line in block.splitlines()]
    for block in re.findall(r"```console\n(.*?)```", SECTION, flags=re.DOTALL)
]
SMALL = ("--set", "frames.image_size=[128,96]", "--set", "scene_views.frames=6", "--executor", "inline")
FORMATS = ("polycam", "3dscanner", "stray", "nerfstudio")


def run(words: list[str]) -> None:
    assert main([*words, *(SMALL if words[0] == "build-shards" else ())]) == 0, words


@pytest.mark.parametrize("app", FORMATS)
def test_a_capture_becomes_a_room_with_objects(
    app: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    write_twin(app, tmp_path / "captures").capture.rename("my-room")
    Path("my-room/objects.json").rename("objects.json")
    inspected, poses = FIRST
    run(inspected)
    said = capsys.readouterr().out
    example = json.loads(said[said.index("\n{\n") :])
    run(poses)
    assert "as given they agree" in capsys.readouterr().out
    for words in LATER[0]:
        run(words)
    assert not any(record.objects for record in gapdata.open("room-shards"))
    (shown,) = re.findall(r"```json\n(.*?)```", SECTION, flags=re.DOTALL)
    assert set(json.loads(shown)["objects"][0]) == set(example["objects"][0])
    Path("objects.json").rename("my-room/objects.json")
    for words in LATER[1]:
        run(words)
    assert any(record.objects for record in gapdata.open("room-shards"))
    assert Path("my-room.png").stat().st_size > 1000


def test_every_field_of_the_file_is_on_the_page() -> None:
    from gapdata.sources.boxes_file import FIELDS, OPTIONAL

    table = SECTION.split("| field | is |\n")[1].split("\n\n")[0]
    assert set(re.findall(r"^\| `(\w+)` \|", table, flags=re.MULTILINE)) == {"world", "up", *FIELDS, *OPTIONAL}
