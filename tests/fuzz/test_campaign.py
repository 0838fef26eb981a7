"""The fuzzing campaign in short, and that it names what it is made to find. ``make fuzz`` runs it at length."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY


@pytest.mark.slow
def test_thousands_of_damaged_files_are_read_or_refused(small_dataset: Path, tmp_path: Path) -> None:
    """The campaign in short: no crash, no hang, no memory beyond a small multiple of a file, no foreign exception."""
    code = (
        "import sys; from pathlib import Path\n"
        "from tests.fuzz.campaign import run_campaign; from tests.fuzz.seeds import write_seeds\n"
        "write_seeds(Path(sys.argv[1]), Path(sys.argv[2]))\n"
        "outcome = run_campaign(Path(sys.argv[1]), 2500)\n"
        "print(outcome.text()); sys.exit(bool(outcome.findings) or outcome.cases != 2500)"
    )
    folders = [
        str(tmp_path / "seeds"),
        str(small_dataset),
    ]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    result = subprocess.run([sys.executable, "-c", code, *folders], capture_output=True, text=True, env=environment)
    assert result.returncode == 0, result.stdout[-6000:] + result.stderr[-3000:]


BROKEN = """
import os, sys, time
from tests.fuzz import child
from tests.fuzz.cases import Target
def crashes(rng): os.abort()
def hangs(rng):
    while True: pass
def hoards(rng): return len(bytearray(b"x") * (300 << 20)) >> 28
def raises(rng): raise KeyError("foreign")
made = (crashes, hangs, hoards, raises)
child.TARGETS = {case.__name__: Target(name=case.__name__, share=1, make=lambda a, b, c=case: c) for case in made}
child.CPU_SECONDS, child._warm_up = 0.5, lambda run: None
child.main()
"""


def test_the_campaign_names_the_case_that_crashes_hangs_takes_memory_or_raises(tmp_path: Path) -> None:
    (tmp_path / "broken.py").write_text(BROKEN)
    code = (
        "import sys; from pathlib import Path; from tests.fuzz.campaign import run_campaign\n"
        "print(run_campaign(Path(), 4, child=sys.argv[1:]).text())"
    )
    words = [sys.executable, "-c", code, str(tmp_path / "broken.py")]
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    found = subprocess.run(words, capture_output=True, text=True, env=environment).stdout
    for name, what in (
        ("crashes", "the process dies by SIGABRT"),
        ("hangs", "the process dies by SIGPROF"),
        ("hoards", " MiB for 1 bytes of input"),
        ("raises", "KeyError"),
    ):
        assert any(line.startswith(f"{name}:") and line.endswith(what) for line in found.splitlines()), found
