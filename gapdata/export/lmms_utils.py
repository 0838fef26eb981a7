"""What lmms-eval calls for this task: frames, prompt and scores of questions about space.

This file stands alone: it is copied beside the task and needs nothing but numpy and Pillow.

A letter is right or wrong. A number scores its mean relative accuracy (VSI-Bench, arXiv 2412.14171): the share of ten
thresholds t = 0.50 ... 0.95 for which its relative error is at most 1 - t. The overall score is the mean of the types.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

HERE = Path(__file__).resolve().parent
LONGEST = 10_000
"""Characters of an answer that are read."""
NUMBER = re.compile(r"[-+\u2212]?\d{1,12}(?:\.\d{0,12})?")
LETTER = re.compile(r"\(?([A-Ha-h])(?:[).:]|\b)")
ALLOWED = 1 - np.linspace(0.5, 0.95, 10)  # (10,) relative errors


def doc_to_visual(doc: Mapping[str, Any]) -> list[Any]:
    """Return the frames, in order, with the marks that the question speaks of."""
    from PIL import Image

    frames = []
    for name in doc["images"]:
        with Image.open(HERE / name) as image:
            frames.append(image.convert("RGB"))
    return frames


def doc_to_nothing(doc: Mapping[str, Any]) -> list[Any]:
    """Return no frame: what is scored without any is the baseline of a blind model."""
    return []


def doc_to_text(doc: Mapping[str, Any], lmms_eval_specific_kwargs: Mapping[str, str] | None = None) -> str:
    """Return the question between the prompts of the task's file."""
    around = lmms_eval_specific_kwargs or {}
    return f"{around.get('pre_prompt', '')}{doc['question']}{around.get('post_prompt', '')}"


def read_letter(text: str) -> str | None:
    """Return the letter that an answer begins with."""
    found = LETTER.match(text[:LONGEST].lstrip(" \t\r\n*_`\"'"))
    return None if found is None else found[1].upper()


def read_number(text: str) -> float | None:
    """Return the first number of an answer."""
    found = NUMBER.search(text[:LONGEST].replace(",", ""))
    return None if found is None else float(found[0].replace("\u2212", "-"))


def relative_accuracy(guess: float, truth: float) -> float:
    """Return the mean relative accuracy of a number, 0 to 1; of a truth of zero only zero is right."""
    if truth == 0:
        return float(guess == 0)
    return float((abs(guess - truth) / abs(truth) <= ALLOWED).mean())


def score(doc: Mapping[str, Any], text: str) -> float:
    """Return the score of an answer, 0 to 1; what cannot be read scores 0."""
    if doc["metric"] == "letter":
        return float(read_letter(text) == doc["ground_truth"])
    guess = read_number(text)
    return 0.0 if guess is None else relative_accuracy(guess, float(doc["ground_truth"]))


def process_results(doc: Mapping[str, Any], results: Sequence[str]) -> dict[str, Any]:
    """Return the score of a question under its type, and for the overall score."""
    value = score(doc, str(results[0]))
    return {"overall": {"type": doc["question_type"], "score": value}, doc["question_type"]: value}


def mean_of_types(results: Sequence[Mapping[str, Any]]) -> float:
    """Return the mean over the types of the mean score of each."""
    scores: dict[str, list[float]] = {}
    for item in results:
        scores.setdefault(item["type"], []).append(item["score"])
    return float(np.mean([np.mean(values) for values in scores.values()]))
