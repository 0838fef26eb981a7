"""The model as lmms-eval asks for it: ``--model gap_mllm --model_args pretrained=DIR,frames=32``.

Only lmms-eval imports this file. Its tasks come in two kinds: chat messages, which :class:`GapMllm` answers, and, with
``--force_simple``, a text beside images or videos (:class:`GapMllmSimple`), the only ones that ask for likelihoods.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

from lmms_eval.api.instance import GenerationResult
from lmms_eval.api.model import lmms
from tqdm import tqdm

from gapdata.errors import UsageError
from gapmodel.evaluation.workers import device_of
from gapmodel.harness.conversation import Sampling, user_message
from gapmodel.harness.generation import Generation, read_generation
from gapmodel.harness.respondent import Respondent
from gapmodel.packing import Example, in_batches

AUTO = "auto"


class GapMllm(lmms):
    """A trained directory that answers chat messages.

    Args:
        pretrained: a model directory, a run's directory or a checkpoint of the authors.
        frames: most frames of a video; images are shown all.
        seconds_per_frame: time between two frames in time stamps; ``auto`` stamps the frames of a video with their
            times, and images as the model was trained.
        device: where the model runs; the GPU of this process by default, or the CPU.
        dtype: ``float32``, ``bfloat16``, or ``auto`` for that of the files.
        batch_size: documents answered at once.
        max_batch_size: not used; lmms-eval gives it.
    """

    is_simple = False

    def __init__(
        self,
        pretrained: str,
        frames: int = 32,
        seconds_per_frame: float | str = AUTO,
        device: str | None = None,
        dtype: str = AUTO,
        batch_size: int | str = 1,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        if int(frames) < 1:
            raise UsageError(f"frames={frames} shows nothing", cure="use 1 or more")
        if not str(batch_size).isdecimal() or int(batch_size) < 1:
            raise UsageError(f"batch_size {batch_size!r} is not a number", cure="use 1 or more; it is not found out")
        step = None if seconds_per_frame == AUTO else float(seconds_per_frame)
        self.batch_size = int(batch_size)
        self.device = device or device_of(int(os.environ.get("LOCAL_RANK", 0)))
        sampling = Sampling(frames=int(frames), seconds_per_frame=step)
        self.respondent = Respondent.load(Path(pretrained), sampling, self.device, dtype)

    def generate_until(self, requests: list[Any]) -> list[str]:
        """Return an answer to each request; those of equal settings that follow each other go in one batch."""
        found: list[str] = []
        with self._bar(requests) as bar:
            for generation, group in groupby(requests, key=lambda request: read_generation(self._settings(request))):
                for batch in in_batches(list(group), self.batch_size):
                    found += self._answers(batch, generation)
                    bar.update(len(batch))
        return found

    def loglikelihood(self, requests: list[Any]) -> list[Any]:
        """Return the *negative* log-probability of each request's continuation, and whether it is the greedy one.

        lmms-eval takes the choice with the smallest figure: its own models return losses. A continuation begins the
        answer's turn, so the blank that separates it from a text without turns is left out.
        """
        found: list[Any] = []
        with self._bar(requests) as bar:
            for batch in in_batches(requests, self.batch_size):
                # lmms-eval 0.7.3 writes a bare pair out as text, which it cannot read again.
                found += [GenerationResult(text=pair) for pair in self._likelihoods(batch)]
                bar.update(len(batch))
        return found

    def generate_until_multi_round(self, requests: list[Any]) -> list[str]:
        """Refuse tasks whose next question depends on an answer.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError("gap_mllm answers each document once: tasks of several rounds are not supported")

    def _settings(self, request: Any) -> Mapping[str, Any]:
        return dict(request.args[2])

    def _messages(self, request: Any) -> Sequence[Mapping[str, Any]]:
        _, to_messages, _, number, task, split = request.args
        found: Sequence[Mapping[str, Any]] = to_messages(self.task_dict[task][split][number])
        return found

    def _answers(self, batch: Sequence[Any], generation: Generation) -> list[str]:
        examples = []
        for request in batch:
            with _named(_document(request)):
                examples.append(self.respondent.example(_document(request), self._messages(request)))
        with _named(", ".join(example.key for example in examples)):
            return self.respondent.answers(examples, generation)

    def _likelihoods(self, batch: Sequence[Any]) -> list[tuple[float, bool]]:
        examples = []
        for request in batch:
            with _named(_document(request)):
                examples.append(self._continued(request))
        with _named(", ".join(example.key for example in examples)):
            return [(-value, greedy) for value, greedy in self.respondent.likelihoods(examples)]

    def _continued(self, request: Any) -> Example:
        text, continuation, *place = request.args
        visuals: Sequence[Any] = ()
        if place:  # a choice alone, without its document, is only its text
            to_visual, number, task, split = place
            doc = self.task_dict[task][split][number]
            visuals = (to_visual(doc) if to_visual is not None else None) or ()
            continuation = continuation if isinstance(continuation, str) else continuation(doc)
        messages = [user_message(visuals, text)]
        return self.respondent.example(_document(request), messages, str(continuation).lstrip(" "))

    def _bar(self, requests: Sequence[Any]) -> Any:
        return tqdm(total=len(requests), desc="gap_mllm", unit="document", disable=self.rank != 0)


class GapMllmSimple(GapMllm):
    """The same model for tasks that give a text and, apart from it, what is seen: ``--force_simple``."""

    is_simple = True

    def _settings(self, request: Any) -> Mapping[str, Any]:
        return dict(request.args[1])

    def _messages(self, request: Any) -> Sequence[Mapping[str, Any]]:
        text, _, to_visual, number, task, split = request.args
        visuals = to_visual(self.task_dict[task][split][number]) if to_visual is not None else None
        return [user_message(visuals or (), text)]


def _document(request: Any) -> str:
    return f"document {request.doc_id} of {request.task_name}"


@contextmanager
def _named(documents: str) -> Iterator[None]:
    """Say in an error which documents it is about: lmms-eval does not."""
    try:
        yield
    except Exception as error:
        raise RuntimeError(f"{documents}: {error}") from error
