"""Several processes that answer one evaluation's questions: Ray workers, or the ranks of torchrun.

Each works through its share (:func:`gapmodel.evaluation.answering.shared`) and keeps its answers, so a worker that dies
is started again, and a later run may have another number of workers.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from gapdata.errors import UsageError
from gapdata.shards.records import Records
from gapdata.tasks.predictions import Asking
from gapmodel.evaluation.answering import missing
from gapmodel.evaluation.asking import TaskQuestions
from gapmodel.evaluation.authors_view import View, in_view
from gapmodel.evaluation.predictions import read_answers, refuse_other_evaluation
from gapmodel.evaluation.question_source import QuestionSource, questions_of
from gapmodel.evaluation.run import answer_share, answers_folder, treated_belongings
from gapmodel.inspection.geometry_treatments import Treatment

RETRIES = 2
"""Ray starts a worker that died again at most this many times."""
LOOK_EVERY = 1.0
"""Seconds between two looks at what the other ranks have answered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluationJob:
    """All that a worker needs to know; it is small, because it is sent to the worker."""

    model: Path
    source: QuestionSource
    out: Path
    belongs: dict[str, Any]
    """What the predictions in ``out`` belong to (:func:`gapmodel.evaluation.run.belongings`)."""
    askings: dict[str, Asking]
    tasks: tuple[str, ...]
    limit: int | None
    batch_size: int
    optional: bool = False
    """Leave out tasks without questions instead of refusing them."""
    treatments: tuple[Treatment | None, ...] = (None,)
    """What is done to the model's geometry, one after another; ``None`` leaves it as it is."""
    view: View = "own"
    """What is shown and said to the model (:mod:`gapmodel.evaluation.authors_view`)."""

    @property
    def folders(self) -> list[Path]:
        """The folder of the answers with each treatment."""
        return [answers_folder(self.out, treatment) for treatment in self.treatments]

    def refuse_others(self) -> None:
        """Refuse a directory whose answers belong to something else. Writes nothing.

        Raises:
            UsageError: they do; the message names the difference.
        """
        for treatment, folder in zip(self.treatments, self.folders, strict=True):
            refuse_other_evaluation(folder, treated_belongings(self.belongs, treatment))

    def questions(self, reader: Records) -> list[TaskQuestions]:
        """Return all questions, the same in every process."""
        written, put = self.source.written, self.askings.__getitem__
        found = questions_of(reader, put, self.tasks, self.limit, optional=self.optional, written=written)
        return [in_view(task, self.view) for task in found]


def answer(job: EvaluationJob, share: tuple[int, int], local_rank: int | None = None) -> None:
    """Answer one share in this process, on a GPU of the machine where there is one."""
    reader = job.source.open()
    device = device_of(share[0] if local_rank is None else local_rank)
    questions = job.questions(reader)
    answer_share(
        job.model,
        reader,
        questions,
        job.out,
        belongs=job.belongs,
        share=share,
        batch_size=job.batch_size,
        device=device,
        treatments=job.treatments,
        view=job.view,
    )


def answer_on_ray(job: EvaluationJob, workers: int) -> None:
    """Answer all shares in Ray workers, on a GPU each where the cluster has any.

    The cluster is the one that ``RAY_ADDRESS`` names (a submitted job's own), else one of this machine.

    Raises:
        UsageError: the cluster cannot be reached, or a worker raised it.
    """
    from gapdata.runtime.ray_session import RaySession

    with RaySession(workers):
        import ray

        gpus = 1 if ray.cluster_resources().get("GPU", 0) >= 1 else 0
        task = ray.remote(num_cpus=1, num_gpus=gpus, max_retries=RETRIES)(answer)
        running = [task.remote(job, (rank, workers), 0 if gpus else None) for rank in range(workers)]
        _follow(ray, running, job)


def _follow(ray: Any, running: list[Any], job: EvaluationJob) -> None:
    reader = job.source.open()
    questions = job.questions(reader)
    total = sum(len(task.asked) for task in questions) * len(job.folders)
    with tqdm(total=total, desc="answering", unit="question", mininterval=1.0, file=sys.stderr) as bar:
        while running:
            done, running = ray.wait(running, timeout=LOOK_EVERY)
            lacking = sum(missing(questions, read_answers(folder)) for folder in job.folders)
            bar.update(total - lacking - bar.n)
            for reference in done:
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    cause = error.cause
                    if isinstance(cause, UsageError):
                        raise cause from None
                    raise


def torchrun_share() -> tuple[int, int] | None:
    """Return (rank, ranks) where torchrun started this process, else ``None``."""
    if "RANK" not in os.environ or "WORLD_SIZE" not in os.environ:
        return None
    return int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"])


def wait_for_all(questions: Sequence[TaskQuestions], folders: Sequence[Path]) -> None:
    """Wait until the other ranks have answered their shares; torchrun ends all ranks where one fails."""
    while any(missing(questions, read_answers(folder)) for folder in folders):
        time.sleep(LOOK_EVERY)


def device_of(number: int) -> str:
    """Return the device of a worker: the GPUs take turns by its number; the CPU where there is none."""
    import torch

    if not torch.cuda.is_available():
        return "cpu"
    return f"cuda:{number % torch.cuda.device_count()}"
