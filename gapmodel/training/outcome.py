"""The outcome of a finished run, in ``outcome.json`` for whoever started its ranks."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path

from gapdata.files.atomic import write_atomically
from gapdata.runtime.counting import counted
from gapmodel.model_directory import MODEL_DIRECTORY
from gapmodel.training.geometry_use import is_type, losses_of_line
from gapmodel.training.logbook import read_log

OUTCOME_FILE = "outcome.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingOutcome:
    """Where a run's model lies, and its loss: the mean over the first and over the last tenth of its steps."""

    model_directory: Path
    steps: int
    questions: int
    first_loss: float
    last_loss: float
    seconds: float
    geometry: tuple[str, ...] = ()
    """Whether the run uses geometry, a line for each stream by its last held-out losses, and for each type of question
    about space that tells; empty without them."""

    def __str__(self) -> str:
        """Return a few lines for whoever started the run."""
        made = f"{counted(self.steps, 'step')}, {counted(self.questions, 'question')} in {self.seconds:.0f} s"
        losses = f"loss {self.first_loss:.3f} -> {self.last_loss:.3f}"
        return "\n".join([f"{made}; {losses}", *self.geometry, f"model: {self.model_directory}"])


def outcome_of(out: Path, steps: int, seconds: float) -> TrainingOutcome:
    """Return the outcome of a run, from its log."""
    log = read_log(out)
    lines = [line for line in log if "answer" in line]
    held_out = next((found for line in reversed(log) if (found := losses_of_line(line))), {})
    losses = [line["loss"] for line in lines]
    tenth = max(1, len(losses) // 10)
    return TrainingOutcome(
        model_directory=out / MODEL_DIRECTORY,
        steps=steps,
        questions=int(sum(line["questions"] for line in lines)),
        first_loss=sum(losses[:tenth]) / tenth,
        last_loss=sum(losses[-tenth:]) / tenth,
        seconds=seconds,
        geometry=tuple(
            said
            for name, loss in held_out.items()
            if (loss.told or not is_type(name)) and (said := loss.sentence(name))
        ),
    )


def write_outcome(out: Path, outcome: TrainingOutcome) -> None:
    """Write the outcome into the run's directory, which makes the run a finished one."""
    fields = {**asdict(outcome), "model_directory": str(outcome.model_directory)}
    write_atomically(out / OUTCOME_FILE, json.dumps(fields).encode())


def read_outcome(out: Path) -> TrainingOutcome:
    """Read the outcome of a finished run."""
    fields = json.loads((out / OUTCOME_FILE).read_bytes())
    told = tuple(fields.get("geometry", ()))
    return TrainingOutcome(**{**fields, "model_directory": Path(fields["model_directory"]), "geometry": told})


def is_finished(out: Path) -> bool:
    """Return whether a run has come to its end, with its model written."""
    return (out / MODEL_DIRECTORY).is_dir() and (out / OUTCOME_FILE).is_file()
