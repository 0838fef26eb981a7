"""ScanQA's and SQA3D's scores of short free answers: exact match after the cleaning that everybody copies from LEO.

The refined match of the same origin also takes an answer that holds an accepted one, or is held by it: so the empty
answer is always right, and "no" is right of "north".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gapmodel.evaluation.published.relative_error import MAX_CHARACTERS
from gapmodel.evaluation.published.vsi import NUMBER_WORDS

SQA3D_TYPES = ("what", "is", "how", "can", "which")
"""The first words by which SQA3D's table is divided; all other questions are "others"."""
SLIPS: Mapping[str, str] = MappingProxyType(
    {
        "letf": "left",
        "let": "left",
        "tehre": "there",
        "rigth": "right",
        "rght": "right",
        "behine": "behind",
        "tv": "TV",
        "chai": "chair",
        "wasing": "washing",
        "waslked": "walked",
        "oclock": "o'clock",
    }
)
"""Words of SQA3D's annotators that the cleaning corrects, in the model's answers too."""
_NUMBERS = {str(value): word for word, value in NUMBER_WORDS.items()} | {"23": "twenty-three", "none": "zero"}
_ARTICLES = ("a", "an", "the")


def cleaned(text: str) -> str:
    """Return an answer as it is compared: lower case, without marks and articles, numbers in words, slips corrected."""
    text = re.sub(r" {2,}", " ", text[:MAX_CHARACTERS].lower().strip(" "))
    text = re.sub(r"[^a-z0-9,'\s\-:]+", "", text)
    for slip, word in SLIPS.items():
        text = re.sub(rf"\b{slip}\b", word, text)
    text = re.sub(r"\bo'[ ]+clock\b", "o'clock", text)
    for number, word in _NUMBERS.items():
        text = re.sub(rf"\b{number}\b", word, text)
    text = re.sub(r"\b([a-zA-Z]+)[0-9]\b", r"\1", text)
    for article in _ARTICLES:
        text = re.sub(rf"\b{article}\b ([a-zA-Z]+)", r"\1", text)
    return re.sub(r"\bbackwards\b", "backward", text)


def exact_match(text: str, answers: Sequence[str]) -> float:
    """Return 1 where the cleaned answer is one of the cleaned accepted ones (EM@1)."""
    return float(cleaned(text) in {cleaned(answer) for answer in answers})


def refined_match(text: str, answers: Sequence[str]) -> float:
    """Return 1 also where the answer holds an accepted one or is held by it, blanks apart (EM-R)."""
    said = "".join(cleaned(text).split())
    accepted = ["".join(cleaned(answer).split()) for answer in answers]
    return float(any(said in answer or answer in said for answer in accepted))


def sqa3d_type(question: str) -> str:
    """Return the group of SQA3D's table that a question belongs to, by the letters it begins with.

    Its program compares beginnings, so "Canned" would count as "can".
    """
    begun = question.lstrip().lower()
    return next((word for word in SQA3D_TYPES if begun.startswith(word)), "others")
