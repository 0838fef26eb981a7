"""Makes the README's pictures: ``gapdata/README.jpg``, a clip of a synthetic room, and ``pipelines/demo.jpg``.

    make demo picture

Run it when the viewer draws otherwise, or the demo answers otherwise. The second picture is the one that the demo left,
if it has been run.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

REPOSITORY = Path(__file__).resolve().parents[2]
PICTURE = REPOSITORY / "gapdata" / "README.jpg"
DEMO, ANSWERS = REPOSITORY / "pipelines" / "demo.jpg", REPOSITORY / "outputs" / "demo" / "answers.png"
WIDTH, MOST_BYTES = 1200, 190_000


def gapdata(*arguments: object) -> None:
    subprocess.run([sys.executable, "-m", "gapdata", *map(str, arguments)], check=True)


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        scans, shards, sheet = Path(folder, "scannet"), Path(folder, "shards"), Path(folder, "sheet.png")
        gapdata("synth", scans, "--scenes", 1, "--frames", 37, "--color-size", "324x242", "--depth-size", "160x120")
        recipe = ("--recipe", "demo", "--set", "frames.image_size=[256,192]", "--set", "clips.interval=12")
        gapdata("build-shards", "--scannet", scans, "--out", shards, *recipe, "--executor", "inline")
        gapdata("view", shards, "--key", "scene0000_00-clip-00000", "--save", sheet)
        drawn = cv2.imread(str(sheet))
    write(PICTURE, drawn)
    if ANSWERS.is_file():
        write(DEMO, cv2.imread(str(ANSWERS)))


def write(path: Path, drawn: np.ndarray) -> None:
    """Write a picture (H, W, 3) BGR at the width of a page, as good as the file may be large."""
    height = round(drawn.shape[0] * WIDTH / drawn.shape[1])
    picture = cv2.resize(drawn, (WIDTH, height), interpolation=cv2.INTER_AREA)
    data = next(data for quality in range(90, 20, -5) if len(data := encoded(picture, quality)) < MOST_BYTES)
    path.write_bytes(data)
    print(f"{path}: {WIDTH} x {height} pixels, {len(data)} bytes")


def encoded(picture: np.ndarray, quality: int) -> bytes:
    return cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])[1].tobytes()


if __name__ == "__main__":
    main()
