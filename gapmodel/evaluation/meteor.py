"""METEOR, where Java and pycocoevalcap are installed: it exists only as a Java program."""

from __future__ import annotations

import importlib
import importlib.util
import shutil
from collections.abc import Sequence


def meteor(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> float | None:
    """Return METEOR 1.5 of a corpus as pycocoevalcap runs it; ``None`` where Java or the package is missing."""
    if not candidates or not meteor_is_there():
        return None
    program = importlib.import_module("pycocoevalcap.meteor.meteor").Meteor()
    truth = {index: list(others) for index, others in enumerate(references)}
    found, _ = program.compute_score(truth, {index: [text] for index, text in enumerate(candidates)})
    return float(found)


def meteor_is_there() -> bool:
    """Return whether :func:`meteor` can run here."""
    if shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None:
        return False
    return importlib.util.find_spec("pycocoevalcap.meteor.meteor") is not None
