"""Speed and memory of the build and the reader, as ratios against baselines that are measured in the same run.

`make bench` runs this. Scans are full-size: 1296x968 JPEG with sensor noise, 640x480 depth; a few different frames
repeat to 900. CPU time (user + system) of whole processes counts, start-up included, so other load on the machine
matters little.
"""

from __future__ import annotations

import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest

from gapdata.geometry.camera import relative_poses
from gapdata.geometry.pointmap import first_frame_pointmap
from gapdata.records.prepare import FramePreparer, FrameSettings
from gapdata.records.quality import QualityMeter
from gapdata.runtime.allocation import keep_freed_memory
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import ScanNetScan
from gapdata.sources.sens import SensReader
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.synthetic.sens_writer import SensWriter

SCENES, FRAMES, STEP, DENSE, DISTINCT, PAIRS = 4, 900, 10, 2, 20, 5
RECIPE = [
    "clips.frames=3",
    "clips.interval=10",
    "clips.step=30",
    "clips.max_shift=0",
    "scene_views.enabled=false",
    "shards.scenes_per_shard=2",
]
"""Every tenth frame once, in clips of three."""
FRAME_SETTINGS = FrameSettings(
    image_size=(512, 384),
    jpeg_quality=92,
    near=0.1,
    far=15.0,
    min_confidence=1,
    swap_portrait=True,
    min_valid_depth=0.05,
)
BASELINES = Path(__file__).with_name("extraction_baselines.py")
SCANNET_SCANS, SCANNET_FRAMES = 1513, 2_500_000


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four full-size scans of 900 frames, without annotation."""
    root = tmp_path_factory.mktemp("bench")
    synthesise_dataset(root / "made", SynthesisOptions(scenes=1, frames=DISTINCT, lost_tracking=0.0), workers=1)
    with SensReader(root / "made" / "scans" / "scene0000_00" / "scene0000_00.sens") as sens:
        for index in range(SCENES):
            folder = root / "scans" / f"scene000{index}_00"
            folder.mkdir(parents=True)
            with SensWriter(
                folder / f"{folder.name}.sens",
                color_intrinsics=sens.color_intrinsics,
                depth_intrinsics=sens.depth_intrinsics,
            ) as writer:
                for frame in range(FRAMES):
                    source = (frame + index) % DISTINCT
                    writer.write(
                        color=sens.color_bytes(source),
                        depth=sens.depth(source),
                        camera_to_world=sens.camera_to_world[source],
                    )
    return root


def one_thread() -> dict[str, str]:
    """The environment of a user with an installed package, whose byte code is kept, and one thread a process."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    caches = {"PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / f"gapdata-bench-{os.getuid()}")}
    return {**kept, **caches, "OMP_NUM_THREADS": "1", "OPENCV_FOR_THREADS_NUM": "1"}


def run(words: list[str]) -> tuple[float, float, float]:
    """CPU seconds, wall seconds and peak MB (largest single process) of a command on one thread."""
    environment = one_thread()
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    code = (
        "import os, resource, subprocess, sys\n"
        "status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode\n"
        "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)\n"
        "sys.exit(status)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *words], env=environment, capture_output=True, text=True, check=True
    )
    after, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic() - started
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return cpu, wall, int(done.stdout.split()[-1]) / 1024


def run_in_processes(dataset: Path, out: Path, workers: int) -> tuple[float, float]:
    """Wall seconds of a build in processes, and its driver's share of all CPU time."""
    words = build_words(dataset, out, "--set", f"clips.interval={DENSE}", "--set", f"clips.step={3 * DENSE}")
    code = (
        "import resource, sys\n"
        "from gapdata.commands.main import main\n"
        "if __name__ == '__main__':\n"
        "    status = main(sys.argv[1:])\n"
        "    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]\n"
        "    print(*(item.ru_utime + item.ru_stime for item in used))\n"
        "    sys.exit(status)\n"
    )
    script = out.parent / "driver.py"
    script.write_text(code)
    started = time.monotonic()
    arguments = [*words, "--executor", "local", "--workers", str(workers)]
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env=one_thread(), capture_output=True, text=True, check=True
    )
    wall = time.monotonic() - started
    driver, others = (float(value) for value in done.stdout.split()[-2:])
    return wall, driver / (driver + others)


def build_words(dataset: Path, out: Path, *arguments: str) -> list[str]:
    overrides = [part for setting in RECIPE for part in ("--set", setting)]
    return ["build-shards", "--scannet", str(dataset), "--out", str(out), *overrides, *arguments]


def build(dataset: Path, out: Path, *arguments: str) -> tuple[float, float, float]:
    return run([sys.executable, "-m", "gapdata", *build_words(dataset, out, *arguments)])


def baseline(mode: str, dataset: Path, out: Path) -> float:
    cpu = 0.0
    for scene in sorted((dataset / "scans").iterdir()):
        words = [
            sys.executable,
            str(BASELINES),
            mode,
            str(scene / f"{scene.name}.sens"),
            str(out / scene.name),
            str(STEP),
        ]
        cpu += run(words)[0]
    return cpu


def unavoidable(dataset: Path, out: Path) -> float:
    """CPU seconds of the steps that no implementation of this build can leave out, each through the library's own
    calls: pixels in and out, registration, pointmap, the figures of quality, and the imports.
    """
    out.mkdir(parents=True)
    keep_freed_memory()
    started = time.process_time()
    for scene in sorted((dataset / "scans").iterdir()):
        with ScanNetScan(scene) as scan, open(out / scene.name, "wb") as file:
            preparer = FramePreparer(scan, FRAME_SETTINGS, None)
            meter = QualityMeter(preparer.camera, scan.camera_to_world, 0.2)
            for first in range(0, FRAMES, 3 * STEP):
                frames = [preparer.prepare(frame) for frame in range(first, first + 3 * STEP, STEP)]
                meter.measure(frames)
                depth = np.stack([frame.depth for frame in frames]).astype(np.float32) / np.float32(1000)
                poses = relative_poses(scan.camera_to_world[[frame.frame_id for frame in frames]])
                file.write(first_frame_pointmap(depth, [frame.camera for frame in frames], poses, 8).tobytes())
                for frame in frames:
                    file.write(frame.jpeg + frame.depth_png)
    steps = time.process_time() - started
    return steps + run([sys.executable, "-c", "import numpy, cv2, pyarrow.parquet, gapdata.engine.driver"])[0]


def test_a_build_costs_a_fraction_of_extracting_frames(dataset: Path, tmp_path: Path) -> None:
    """Everything is measured in turn, so that what else the machine does hits all alike."""
    rounds = []
    for pair in range(PAIRS):
        cpu, _, memory = build(dataset, tmp_path / f"ours{pair}", "--executor", "inline")
        official, efficient = (
            baseline(mode, dataset, tmp_path / f"{mode}{pair}") for mode in ("official", "efficient")
        )
        rounds.append((cpu, memory, official / cpu, efficient / cpu, cpu / unavoidable(dataset, tmp_path / f"u{pair}")))
    cpu, memory, official, efficient, floor = (statistics.median(column) for column in zip(*rounds, strict=True))
    frames = SCENES * FRAMES // STEP
    print(f"\nbuild-shards: {cpu / frames * 1000:.1f} ms CPU a frame, start-up included")
    print(f"  CPU against the official way of extracting: 1/{official:.1f}")
    print(f"  CPU against an efficient extraction:        1/{efficient:.1f}")
    print(f"  CPU against its own unavoidable steps:      {floor:.2f}x")
    print(f"  peak memory: {memory:.0f} MB")
    project(cpu / frames, dataset, tmp_path / "ours0")
    assert official >= 8
    assert efficient >= 5
    assert floor <= 1.4
    assert max(columns[1] for columns in rounds) < 300


def project(cpu_per_frame: float, dataset: Path, out: Path) -> None:
    """What all of ScanNet would take at this rate, every tenth frame."""
    frames = SCANNET_FRAMES / STEP
    read = sum(path.stat().st_size for path in dataset.rglob("*.sens")) / (SCENES * FRAMES) * frames / 1e9
    written = sum(path.stat().st_size for path in out.glob("*.tar")) / (SCENES * FRAMES / STEP) * frames / 1e9
    for cores in (16, 512):
        minutes = frames * cpu_per_frame / cores / 60
        rate = (read + written) / (minutes * 60)
        print(
            f"  all of ScanNet ({SCANNET_SCANS} scans, {frames:.0f} frames) on {cores} cores: {minutes:.1f} min of CPU;"
            f" needs {rate:.1f} GB/s of storage to keep up ({read:.0f} GB read, {written:.0f} GB written)"
        )


def test_a_second_worker_nearly_halves_the_time(dataset: Path, tmp_path: Path) -> None:
    """Over every other frame of the scans, so that the start of the processes counts as it does in a real build."""
    pairs = [
        [run_in_processes(dataset, tmp_path / f"{workers}-{pair}", workers) for workers in (1, 2)] for pair in range(3)
    ]
    gain = statistics.median(one[0] / two[0] for one, two in pairs)
    share = statistics.median(figures[1] for pair in pairs for figures in pair)
    frames = SCENES * FRAMES // DENSE
    print(
        f"\ntwo processes: {gain:.2f}x as fast as one over {frames} frames; the driver uses {share:.1%} of the CPU time"
    )
    assert gain >= 1.7
    assert share < 0.05


def test_indexing_five_thousand_frames_takes_milliseconds(dataset: Path, tmp_path: Path) -> None:
    with SensReader(next((dataset / "scans").rglob("*.sens"))) as sens:
        empty = np.zeros((480, 640), np.uint16)
        with SensWriter(
            tmp_path / "long.sens", color_intrinsics=sens.color_intrinsics, depth_intrinsics=sens.depth_intrinsics
        ) as writer:
            for _ in range(5000):
                writer.write(color=b"\xff" * 4096, depth=empty, camera_to_world=np.eye(4))
    times = []
    for _ in range(2 * PAIRS):
        started = time.perf_counter()
        SensReader(tmp_path / "long.sens").close()
        times.append(time.perf_counter() - started)
    print(f"\nindexing 5000 frames: {statistics.median(times) * 1000:.1f} ms warm")
    assert statistics.median(times) < 0.05


def test_the_reader_serves_members_at_the_speed_of_plain_reads(dataset: Path, tmp_path: Path) -> None:
    build(dataset, tmp_path / "out", "--executor", "inline", "--limit", "2")
    reader = ShardReader(tmp_path / "out")
    descriptor = os.open(tmp_path / "out" / "shard-000000.tar", os.O_RDONLY)
    spans = [reader.span(index) for index in range(len(reader))]

    def ours() -> float:
        started = time.process_time()
        for index in range(len(reader)):
            reader.members(index)
        return time.process_time() - started

    def plain() -> float:
        started = time.process_time()
        for start, size in spans:
            os.pread(descriptor, size, start)
        return time.process_time() - started

    ours()
    ratio = statistics.median(ours() / plain() for _ in range(2 * PAIRS))
    os.close(descriptor)
    print(f"\nreading raw members: {ratio:.2f}x the time of os.pread of the same bytes")
    assert ratio <= 1.5
