"""A build, its check, its report and an epoch of training in one process, with what the process holds on the way.

``python -m tests.support.load_phases WARM_UP DATA OUT`` goes through all phases with the first dataset, so that all is
imported, and then measures them with the second one.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from gapdata.audit.verify import verify_build
from gapdata.commands.report import write_page
from gapdata.engine.driver import run_build
from gapdata.engine.executors.inline import InlineExecutor
from gapdata.shards.reader import ShardReader
from gapmodel.processing import ProcessorConfig
from gapmodel.questions.recipe import DataRecipe
from gapmodel.training.loading import Steps, load, make_streams
from gapmodel.training.recipe import TrainingRecipe, TrainRecipe
from gapmodel.training.record_cache import RecordCache
from tests.model.test_processing import make_processor
from tests.support.executors import request_for

SAMPLE_SECONDS = 0.01


class Phase:
    """Samples resident memory and open files while a phase runs, for its first quarter of the time and its last."""

    def __init__(self, found: dict[str, Any], name: str) -> None:
        self._found, self._name = found, name
        self._samples: list[tuple[int, int]] = []
        self._done = threading.Event()

    def __enter__(self) -> None:
        self._started = time.process_time()
        self._thread = threading.Thread(target=self._watch)
        self._thread.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._done.set()
        self._thread.join()
        self._sample()
        count = len(self._samples) // 4 + 1
        parts = (self._samples[:count], self._samples[-count:])
        self._found[self._name] = {
            "cpu": time.process_time() - self._started,
            "memory": [max(sample[0] for sample in part) for part in parts],
            "files": [max(sample[1] for sample in part) for part in parts],
        }

    def _watch(self) -> None:
        while not self._done.wait(SAMPLE_SECONDS):
            self._sample()

    def _sample(self) -> None:
        with open("/proc/self/statm") as file:
            pages = int(file.read().split()[1])
        self._samples.append((pages * os.sysconf("SC_PAGE_SIZE"), len(os.listdir("/proc/self/fd"))))


def all_phases(dataset: Path, out: Path) -> dict[str, Any]:
    """Build, check, report on and train one epoch from a dataset."""
    found: dict[str, Any] = {}
    request = request_for(dataset, out)
    with Phase(found, "build"):
        report = run_build(request, InlineExecutor())
    with Phase(found, "verify"):
        verdict = verify_build(out)
    with Phase(found, "report"):
        page = write_page(out, out.parent / "report.html", 12)
    config = ProcessorConfig(image_size=(128, 96), temporal_patch_size=1, mark_native_width=256.0)
    data = DataRecipe(split="unknown", view="clip", visits=1, questions_per_view=2, min_visible_pixels=1)
    train = TrainRecipe(steps=0, epochs=1, batch_size=8)
    reader = ShardReader(out)
    recipe = TrainingRecipe(data=data, processor=config, train=train)
    # Views are kept up to a number of bytes; here they never are, so that all growth is a leak.
    streams, mixture = make_streams(recipe, {"": reader}, make_processor(config), cache=RecordCache(capacity=1))
    with Phase(found, "training"):
        visits = sum(step.visits for step in load(Steps(streams, mixture, train), workers=0))
    return {
        "phases": found,
        **{name: report[name] for name in ("scenes", "records", "shards")},
        "quarantined": len(report["quarantined"]),
        "defects": [str(defect) for defect in verdict.defects],
        "page": page["bytes"],
        "visits": visits,
        "clips": len(reader.select(view="clip")),
    }


if __name__ == "__main__":
    warm_up, measured, out = (Path(word) for word in sys.argv[1:])
    all_phases(warm_up, out / "built-warm")
    print(json.dumps(all_phases(measured, out / "built")))
