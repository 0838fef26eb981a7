"""VSI-Bench's scorers: the benchmark's own, lmms-eval's of today, and VLMEvalKit's, which EASI runs.

The same answers get different scores from them:

* the benchmark's own (a fork of lmms-eval) reads the first blank-separated word, without a trailing full stop: "1.5
  meters" is 1.5, and "1.5m", "About 2" and "1,200" score 0; "(A)" and "**A**" are wrong;
* lmms-eval reads letters in the same way, and of numbers the first one in the text, number words too;
* VLMEvalKit looks for the letter or number that an explanation ends with, by rules (here) or by a judging model.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from gapmodel.evaluation.published.relative_error import MAX_CHARACTERS, as_float, passed

_SPELT = (
    *("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"),
    *("eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen", "twenty"),
)
NUMBER_WORDS: Mapping[str, int] = MappingProxyType({word: number for number, word in enumerate(_SPELT)})
LAST_LINES = 6
"""VLMEvalKit looks for a letter in so many lines at the end."""
_WORDS = "|".join(NUMBER_WORDS)
_FIRST = re.compile(rf"\b(?:{_WORDS})\b|[-+]?\d{{1,40}}(?:\.\d{{1,40}})?", re.IGNORECASE)
_NUMBER = re.compile(
    rf"\b(?:{_WORDS})\b|[-+]?(?:\d{{0,40}}\.\d{{1,40}}|\d{{1,40}})(?:[eE][-+]?\d{{1,3}})?", re.IGNORECASE
)
_BLOCK = re.compile(r"<answer>(.{0,1000}?)</answer>", re.IGNORECASE | re.DOTALL)
_LEADING = re.compile(r"\s{0,8}([A-J])(?![A-Za-z])", re.IGNORECASE)
_ALONE = re.compile(r"[\s*_`>(\[]{0,8}([A-F])[\s*_`)\].]{0,8}", re.IGNORECASE)
_LABELLED = re.compile(r"\s{0,8}([A-F])\s{0,2}[.:)\]-]\s", re.IGNORECASE)
_INLINE = re.compile(r"(?<![A-Za-z])([A-F])(?![A-Za-z])")


def original(text: str, answer: str, *, letter: bool) -> float:
    """Return the score of an answer by the benchmark's own program.

    The error of a number is divided by the truth and not by its amount, so any number is right of a negative one.
    """
    word = first_word(text)
    if letter:
        return float(word.lower() == answer.lower())
    return _by_truth(as_float(word), answer)


def lmms_eval(text: str, answer: str, *, letter: bool) -> float:
    """Return the score of an answer by lmms-eval of 2026: letters as :func:`original`, numbers more kindly."""
    if letter:
        return original(text, answer, letter=True)
    found = _FIRST.search(text[:MAX_CHARACTERS])
    return _by_truth(None if found is None else _value(found[0]), answer)


def vlmevalkit(text: str, answer: str, *, letter: bool) -> float:
    """Return the score of an answer by VLMEvalKit's rules, without its judging model.

    Of a letter: the one in ``<answer>``, else of the last line that has one alone, at its beginning, or as its only
    capital. Of a number: the one in ``<answer>``, else the last one after the thoughts. The error is divided by the
    amount of the truth, or not at all where that is 0.
    """
    text = text[:MAX_CHARACTERS]
    if letter:
        return float(_final_letter(text) == answer.upper())
    read, truth = _final_number(text), as_float(answer)
    if read is None or truth is None:
        return 0.0
    return passed(abs(read - truth) / (abs(truth) or 1.0))


def first_word(text: str) -> str:
    """Return the first blank-separated word without trailing full stops, which is all that VSI-Bench reads.

    Only the blank separates, and " A" begins with an empty word.
    """
    return text[:MAX_CHARACTERS].split(" ")[0].rstrip(".").strip()


def _by_truth(read: float | None, answer: str) -> float:
    truth = as_float(answer)
    return 0.0 if read is None or not truth else passed(abs(read - truth) / truth)


def _value(text: str) -> float:
    word = text.lower()
    return float(NUMBER_WORDS[word]) if word in NUMBER_WORDS else float(text)


def _final_number(text: str) -> float | None:
    block = _BLOCK.search(text)
    found = [] if block is None else _NUMBER.findall(block[1])[:1]
    found = found or _NUMBER.findall(_after_thoughts(text))
    return _value(found[-1]) if found else None


def _final_letter(text: str) -> str | None:
    if (block := _BLOCK.search(text)) and (found := _LEADING.match(block[1])):
        return found[1].upper()
    lines = [line for line in _after_thoughts(text).splitlines()[-LAST_LINES:] if line.strip()]
    for line in reversed(lines):
        if found := _ALONE.fullmatch(line) or _LABELLED.match(line):
            return found[1].upper()
        capitals = set(_INLINE.findall(line))
        if len(capitals) == 1:
            return str(capitals.pop())
    return None


def _after_thoughts(text: str) -> str:
    return text.rpartition("</think>")[2]
