"""Completion in real shells: a line with tabs in it is typed into a terminal, and what the shell then runs counts."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SETTINGS = {
    "bash": "bind 'set enable-bracketed-paste off'; eval \"$(cat {script})\"",
    "zsh": 'unset zle_bracketed_paste; autoload -U compinit; compinit -u -D; eval "$(cat {script})"',
}
START = {"bash": ["bash", "--norc", "--noprofile", "-i"], "zsh": ["zsh", "-f", "-i"]}
Typed = Callable[[str], list[str]]


class Terminal:
    """An interactive shell in which ``gapdata`` is a function that says what it was given."""

    def __init__(self, shell: str, script: Path, folder: Path) -> None:
        self.pid, self.file = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update(TERM="dumb", COLUMNS="400", HISTFILE="")
            os.execvp(START[shell][0], START[shell])
        self.seen = ""
        os.write(self.file, (SETTINGS[shell].format(script=script) + "; echo set''tled\n").encode())
        self.wait_for("settled")
        os.write(self.file, b"gapdata() { printf '<%s>' \"$@\"; echo '<''end>'; }; echo def''ined\n")
        self.wait_for("defined")

    def wait_for(self, text: str) -> str:
        """What came up to ``text``."""
        end = time.monotonic() + 30
        while text not in self.seen:
            assert time.monotonic() < end, f"{text!r} never came: {self.seen!r}"
            if select.select([self.file], [], [], 0.1)[0]:
                self.seen += os.read(self.file, 65536).decode(errors="replace")
        before, self.seen = self.seen.split(text, 1)
        return before

    def type(self, line: str) -> list[str]:
        """The words that the program gets when ``line`` is typed, tabs and all."""
        for part in re.split(r"(\t)", line):
            os.write(self.file, part.encode())
            time.sleep(0.15 if part == "\t" else 0.02)
        os.write(self.file, b"\n")
        return re.findall(r"<([^<>]*)>", self.wait_for("<end>").rpartition("\n")[2])

    def close(self) -> None:
        os.close(self.file)
        os.waitpid(self.pid, 0)


def script(program: str, shell: str) -> str:
    command = [sys.executable, "-m", program, "completion", shell]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout


@pytest.fixture(scope="module", params=["bash", "zsh"])
def typed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Typed]:
    if shutil.which(request.param) is None:
        pytest.skip(f"no {request.param} here")
    folder = tmp_path_factory.mktemp("terminal")
    (folder / "two words.toml").touch()
    (folder / "scannet").mkdir()
    (folder / "completion").write_text(script("gapdata", request.param))
    terminal = Terminal(request.param, folder / "completion", folder)
    yield terminal.type
    terminal.close()


def test_commands_options_choices_and_files_are_completed(typed: Typed) -> None:
    assert typed("gapdata bui\t--rec\ttwo\t") == ["build-shards", "--recipe", "two words.toml"]
    assert typed("gapdata build-shards --scannet scan\t --exec\tinl\t") in (
        ["build-shards", "--scannet", "scannet/", "--executor", "inline"],
        ["build-shards", "--scannet", "scannet", "--executor", "inline"],
    )
    assert typed("gapdata export shards --wor\tvgllm_v1\t") == ["export", "shards", "--wording", "vgllm_v1"]
    assert typed("gapdata completion ba\t") == ["completion", "bash"]


def test_a_value_that_is_a_number_is_left_to_the_user(typed: Typed) -> None:
    assert typed("gapdata verify --workers s\t") == ["verify", "--workers", "s"]


@pytest.mark.parametrize("program", ["gapdata", "gapmodel"])
@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_the_script_is_sound_and_names_every_option(program: str, shell: str) -> None:
    text = script(program, shell)
    if shutil.which(shell) is not None:
        subprocess.run([shell, "-n"], input=text, text=True, check=True)
    for command in re.findall(r"^    (\w[\w-]*) ", helped(program), flags=re.MULTILINE):
        for option in re.findall(r"^  (--[\w-]+)", helped(program, command), flags=re.MULTILINE):
            assert option in text, f"{command} {option}"


def test_every_option_that_names_a_place_completes_files() -> None:
    text = script("gapmodel", "bash")
    for option in ("train___shards", "train___out", "train___init", "evaluate___shards", "evaluate___model"):
        assert re.search(rf"{option}_COMPGEN=_shtab_compgen_files", text), option
    assert "inspect___build_COMPGEN=_shtab_compgen_files" in text


@lru_cache
def helped(*words: str) -> str:
    command = [sys.executable, "-m", *words, "--help"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=REPOSITORY).stdout
