"""``transformers serve`` answers with a bundle, in a process that cannot import this project, as we do."""

from __future__ import annotations

import base64
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from gapdata.tasks.chat import Question
from gapmodel.bundle.write import BundleOptions, write_bundle
from gapmodel.generate import generate_answers
from gapmodel.model_directory import load_model
from tests.conftest import REPOSITORY
from tests.support.bundles import TEXT, pixels, stranger, write_frames, write_model

PACKAGES = ("fastapi", "uvicorn", "openai", "pydantic")
"""What transformers needs to serve (``transformers[serving]``)."""


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def wait_for(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    for _ in range(600):
        assert server.poll() is None, log.read_text()
        try:
            urllib.request.urlopen(url, timeout=5).close()
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.2)
        else:
            return
    pytest.fail(log.read_text())


def test_a_served_bundle_answers_as_we_do(tmp_path: Path) -> None:
    places = [str(Path(str(pytest.importorskip(name).__file__)).parent.parent) for name in PACKAGES]
    model = write_model(tmp_path)
    write_bundle(model, tmp_path / "bundle", BundleOptions(with_geometry=True))
    frames = write_frames(tmp_path)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script = REPOSITORY / "tests" / "support" / "fresh_process.py"
    words = ["serve", str(tmp_path / "bundle"), "--trust-remote-code", "--device", "cpu", "--host", "127.0.0.1"]
    log = tmp_path / "server.log"
    with open(log, "wb") as file:
        server = subprocess.Popen(
            [sys.executable, "-P", str(script), *words, "--port", str(port)],
            cwd=tmp_path,
            env={**stranger(tmp_path / "home"), "PYTHONPATH": ":".join(dict.fromkeys(places))},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    try:
        address = f"http://127.0.0.1:{port}"
        wait_for(f"{address}/health", server, log)
        uris = ["data:image/jpeg;base64," + base64.b64encode(path.read_bytes()).decode() for path in frames]
        parts: list[dict[str, Any]] = [{"type": "image_url", "image_url": {"url": uri}} for uri in uris]
        content = [*parts, {"type": "text", "text": TEXT}]
        body = {"model": str(tmp_path / "bundle"), "messages": [{"role": "user", "content": content}], "max_tokens": 8}
        said = post(f"{address}/v1/chat/completions", body)["choices"][0]["message"]["content"]
    finally:
        server.terminate()
        server.wait(30)
    ours, processor = load_model(model)
    question = Question(text="<image><image>" + TEXT, answer="")
    example = processor.encode("", pixels(frames), question, with_answer=False)
    assert [said] == generate_answers(ours.eval(), processor, [example], 8)
