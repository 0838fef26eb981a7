"""What questions about space cost: of a built record, beside the build of a scene, and against sampled boxes.

A full-size scan of eight seconds, 1296x968 with 640x480 depth, is built by the recipe for such questions. Time is CPU
time of this process or of whole `build-shards` processes, so other load on the machine matters little.
"""

from __future__ import annotations

import itertools
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from gapdata.geometry.box_distance import box_distance
from gapdata.geometry.boxes import upright_box, upright_box_and_slack
from gapdata.geometry.camera import transform
from gapdata.records.find_floor import find_floor
from gapdata.records.find_mesh_distances import find_mesh_distances
from gapdata.records.objects import scene_objects
from gapdata.records.schema import Record
from gapdata.shards.reader import ShardReader
from gapdata.sources.scannet import ScanNetDataset
from gapdata.synthetic.dataset import SynthesisOptions, synthesise_dataset
from gapdata.tasks.spatial.kind import Kind
from gapdata.tasks.spatial.kinds import KINDS, spatial_questions
from gapdata.tasks.spatial.view_facts import ViewFacts
from gapdata.tasks.task import QuestionOptions
from tests.benchmarks.test_build_speed import run
from tests.support.shell_distance import shell_distance

FRAMES, RUNS = 240, 3
FASTEST, LARGEST_SHARE, PEER = 2000, 0.15, 20
"""Questions a second from the JSON of records, share of a scene's build that all its questions take, and how many times
faster an exact distance has to be than one of sampled boxes."""
LARGEST_FIELDS = 0.05
"""Share of a scene's build that the floor, the distances of meshes and the slack of boxes take, found once a scene."""
FLAT = 4 << 20
"""Bytes by which memory may grow from one pass over all records to many."""
IN_JSON = {name: kind for name, kind in KINDS.items() if not kind.pixels}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, float]:
    """A build of one scan by the recipe for questions about space, and the CPU seconds of building it."""
    root = tmp_path_factory.mktemp("questions")
    synthesise_dataset(root / "scans", SynthesisOptions(scenes=1, frames=FRAMES, annotations=True), workers=1)
    seconds = []
    for number in range(RUNS):
        words = ["build-shards", "--scannet", str(root / "scans"), "--out", str(root / f"build{number}")]
        seconds.append(
            run([sys.executable, "-m", "gapdata", *words, "--recipe", "scannet-spatial", "--executor", "inline"])[0]
        )
    return root / "build0", statistics.median(seconds)


def least_seconds(work: Callable[[], object], runs: int = RUNS) -> float:
    """CPU seconds of the quickest of several runs; one before them warms up."""
    taken = []
    for _ in range(runs + 1):
        start = time.process_time()
        work()
        taken.append(time.process_time() - start)
    return min(taken[1:])


def ask(records: Sequence[Record], kinds: Mapping[str, Kind], most: int) -> int:
    """Ask up to ``most`` questions of each type about each record, and return how many there are.

    A copy of each record is asked, about which nothing has been worked out before.
    """
    options, copies = QuestionOptions(per_kind=most), map(replace, records)
    return sum(len(found) for record in copies for _, found, _ in spatial_questions(record, options, 0, kinds))


def rate(records: Sequence[Record], kinds: Mapping[str, Kind], most: int) -> float:
    """Questions in a CPU second."""
    return ask(records, kinds, most) / least_seconds(lambda: ask(records, kinds, most))


@pytest.mark.parametrize("most", [2, 10])
def test_questions_from_json_are_quick(built: tuple[Path, float], most: int) -> None:
    reader = ShardReader(built[0])
    views = {view: [reader.without_images(index) for index in reader.select(view=view)] for view in ("scene", "clip")}
    rates = {view: rate(records, IN_JSON, most) for view, records in views.items()}
    told = ", ".join(f"{view} {value:,.0f}" for view, value in rates.items())
    print(f"\nquestions a second and core, up to {most} of a type about a view: {told}")
    alone = {name: rate(views["scene"], {name: kind}, most) for name, kind in IN_JSON.items() if "scene" in kind.views}
    print("each type alone, of the scene view: " + ", ".join(f"{name} {value:,.0f}" for name, value in alone.items()))
    if most > 2:
        assert min(rates.values()) >= FASTEST


def test_all_questions_of_a_scene_take_little_beside_its_build(built: tuple[Path, float]) -> None:
    reader, build = ShardReader(built[0]), built[1]

    def everything() -> int:
        return ask([reader[index] for index in range(len(reader))], KINDS, 2)

    taken, count = least_seconds(everything), everything()
    share = taken / build
    print(
        f"\n{count} questions of all types about {len(reader)} views: {taken:.2f} s CPU, {share:.1%} of {build:.2f} s"
    )
    assert share < LARGEST_SHARE


def test_the_fields_for_questions_take_little_of_a_build(built: tuple[Path, float]) -> None:
    dataset = ScanNetDataset.open(built[0].parent / "scans")
    scan = dataset.open_scan(dataset.scene_ids[0])
    annotation, alignment = scan.annotation(), scan.axis_alignment
    assert annotation is not None
    assert alignment is not None
    labels = {item.object_id: dataset.labels(item.label) for item in annotation.objects}
    objects = scene_objects(annotation, labels, alignment)
    distances = least_seconds(lambda: find_mesh_distances(annotation, objects))
    floor = least_seconds(lambda: find_floor(annotation, labels, alignment))
    points = [transform(alignment, annotation.vertices[item.vertices].astype(float)) for item in annotation.objects]
    both = least_seconds(lambda: [upright_box_and_slack(item) for item in points])
    slack = max(0.0, both - least_seconds(lambda: [upright_box(item) for item in points]))
    share = (distances + floor + slack) / built[1]
    print(
        f"\na mesh of {len(annotation.vertices):,} vertices and {len(annotation.objects)} objects: distances"
        f" {1e3 * distances:.0f} ms, floor {1e3 * floor:.0f} ms, slack of boxes {1e3 * slack:.0f} ms, {share:.1%} of"
        f" {built[1]:.2f} s"
    )
    assert share < LARGEST_FIELDS


def test_memory_stays_flat(built: tuple[Path, float]) -> None:
    import tracemalloc

    reader = ShardReader(built[0])

    def peak(passes: int) -> int:
        tracemalloc.start()
        for _ in range(passes):
            for index in range(len(reader)):
                ask([reader[index]], KINDS, 2)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return most

    first, later = peak(1), peak(4)
    print(f"\npeak memory of one pass {first / 2**20:.1f} MiB, of four {later / 2**20:.1f} MiB")
    assert later < first + FLAT


def test_exact_distances_are_quicker_than_sampled_boxes(built: tuple[Path, float]) -> None:
    reader = ShardReader(built[0])
    (index,) = reader.select(view="scene")
    record = reader.without_images(index)
    boxes = [item.box for item in ViewFacts(record, QuestionOptions()).nameable]
    pairs = list(itertools.combinations(boxes, 2))
    sampled = least_seconds(lambda: [shell_distance(*pair) for pair in pairs], 1)
    exact = least_seconds(lambda: [box_distance(*pair) for pair in pairs])
    print(
        f"\n{len(pairs)} distances: sampled boxes {1e3 * sampled / len(pairs):.2f} ms each, ours"
        f" {1e3 * exact / len(pairs):.3f} ms, {sampled / exact:.0f} times quicker"
    )
    whole = rate([record], {"distance": KINDS["distance"]}, 10)
    print(f"a whole distance question, with finding out which objects are seen: {1e3 / whole:.2f} ms")
    assert sampled > PEER * exact
