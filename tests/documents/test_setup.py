"""`make setup` changes nothing on the system unless it is asked to."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY

SCRIPT = REPOSITORY / ".ci" / "system-libraries"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """A folder of commands without a browser, in which `apt-get` writes down what it is asked."""
    for name in ("bash", "cat", "env", "grep", "id", "uname"):
        found = shutil.which(name)
        assert found is not None
        (tmp_path / name).symlink_to(found)
    (tmp_path / "apt-get").write_text(f'#!{tmp_path}/bash\necho "$@" >> {tmp_path}/asked\n')
    (tmp_path / "sudo").write_text('#!/bin/bash\nexec "$@"\n')
    for name in ("apt-get", "sudo"):
        (tmp_path / name).chmod(0o755)
    return tmp_path


def check(bare: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": str(bare), "WITH_BROWSER": "1"}
    words = [str(bare / "bash"), str(SCRIPT), *arguments]
    return subprocess.run(words, env=environment, capture_output=True, text=True, check=True)


@pytest.mark.skipif(not Path("/sbin/ldconfig").exists(), reason="the script speaks about Linux")
def test_what_is_missing_is_named_and_installed_only_on_request(bare: Path) -> None:
    said = check(bare).stderr.splitlines()
    assert said[-1].startswith("on Debian or Ubuntu, install them with: sudo apt-get install ")
    assert said[-1].endswith("chromium chromium-driver")
    assert not (bare / "asked").exists()
    check(bare, "--install")
    asked = (bare / "asked").read_text().splitlines()
    assert asked[0].startswith("update")
    assert asked[-1].endswith("chromium chromium-driver")


def test_make_setup_never_asks_for_an_installation() -> None:
    makefile = (REPOSITORY / "Makefile").read_text()
    assert "system-libraries" in makefile
    assert "--install" not in makefile
    assert ".ci/system-libraries --install" in (REPOSITORY / ".ci" / "run").read_text()
