"""BLEU, ROUGE-L and CIDEr of captions as coco-caption (pycocoevalcap) defines them, which everybody reports.

Every function takes one candidate and several references for each item, as text with spaces between words; Scan2Cap
brings captions into that form (:func:`gapdata.tasks.captioning.metric_text`) without coco-caption's tokenizer. Three
habits of coco-caption matter and are kept: ROUGE-L splits at every single space, so that two spaces in a row make an
empty word; CIDEr is CIDEr-D (clipped counts and a Gaussian penalty of the difference in length, which is counted in
pairs of words); and its document frequencies come from the references that are scored.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

NGRAMS = 4
SIGMA = 6.0
"""CIDEr-D's width of the length penalty (Vedantam et al. 2015)."""
BETA = 1.2
"""ROUGE-L's weight of recall."""
SMALL, TINY = 1e-9, 1e-15
"""coco-caption's guards against dividing by zero, which decide the score of an empty caption."""

Words = tuple[str, ...]


def bleu(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> tuple[float, ...]:
    """Return BLEU-1 to BLEU-4 (4,) of a corpus (Papineni et al. 2002); NaN for an empty corpus.

    Lengths are compared with the closest reference, with the shorter of two that are equally close.
    """
    if not candidates:
        return (float("nan"),) * NGRAMS
    length = effective = 0
    guessed, correct = [0] * NGRAMS, [0] * NGRAMS
    for candidate, others in zip(candidates, references, strict=True):
        words, sentences = tuple(candidate.split()), [tuple(other.split()) for other in others]
        length += len(words)
        effective += min((abs(len(other) - len(words)), len(other)) for other in sentences)[1]
        counts, most = ngrams(words), Counter[Words]()
        for other in sentences:
            most |= ngrams(other)
        for size in range(NGRAMS):
            guessed[size] += max(0, len(words) - size)
        for gram, count in (counts & most).items():
            correct[len(gram) - 1] += count
    ratio = (length + TINY) / (effective + SMALL)
    penalty = math.exp(1 - 1 / ratio) if ratio < 1 else 1.0
    product, scores = 1.0, []
    for size in range(NGRAMS):
        product *= (correct[size] + TINY) / (guessed[size] + SMALL)
        scores.append(product ** (1 / (size + 1)) * penalty)
    return tuple(scores)


def rouge_l(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return ROUGE-L of each item (Lin 2004): the best precision and the best recall, maybe of different references."""
    scores = []
    for candidate, others in zip(candidates, references, strict=True):
        words = candidate.split(" ")
        common = [(longest_common_subsequence(other.split(" "), words), len(other.split(" "))) for other in others]
        precision = max(length / len(words) for length, _ in common)
        recall = max(length / size for length, size in common)
        found = precision != 0 and recall != 0
        scores.append((1 + BETA**2) * precision * recall / (recall + BETA**2 * precision) if found else 0.0)
    return scores


def cider(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> list[float]:
    """Return CIDEr-D of each item, 0 to 10; 0 for a corpus of a single item, which has no rare words."""
    documents: Counter[Words] = Counter()
    for others in references:
        documents.update({gram for other in others for gram in ngrams(tuple(other.split()))})
    corpus = math.log(len(references)) if references else 0.0
    weights = {gram: corpus - math.log(count) for gram, count in documents.items()}

    def vector(text: str) -> tuple[list[dict[Words, float]], list[float], int]:
        counts = ngrams(tuple(text.split()))
        parts: list[dict[Words, float]] = [{} for _ in range(NGRAMS)]
        for gram, count in counts.items():
            parts[len(gram) - 1][gram] = count * weights.get(gram, corpus)
        norms = [math.sqrt(sum(value * value for value in part.values())) for part in parts]
        return parts, norms, sum(count for gram, count in counts.items() if len(gram) == 2)

    scores = []
    for candidate, others in zip(candidates, references, strict=True):
        mine, my_norms, my_length = vector(candidate)
        total = 0.0
        for other in others:
            theirs, norms, length = vector(other)
            penalty = math.exp(-((my_length - length) ** 2) / (2 * SIGMA**2))
            for size in range(NGRAMS):
                shared = (
                    min(value, theirs[size].get(gram, 0.0)) * theirs[size].get(gram, 0.0)
                    for gram, value in mine[size].items()
                )
                scale = my_norms[size] * norms[size]
                total += sum(shared) / (scale if scale != 0 else 1.0) * penalty
        scores.append(10.0 * total / NGRAMS / len(others))
    return scores


def ngrams(words: Words) -> Counter[Words]:
    """Count each run of one to four words."""
    return Counter(words[at : at + size] for size in range(1, NGRAMS + 1) for at in range(len(words) - size + 1))


def longest_common_subsequence(first: Sequence[str], second: Sequence[str]) -> int:
    """Return the length of the longest sequence of words that both hold in that order."""
    row = [0] * (len(second) + 1)
    for word in first:
        diagonal = 0
        for at, other in enumerate(second, start=1):
            diagonal, row[at] = row[at], diagonal + 1 if word == other else max(row[at], row[at - 1])
    return row[-1]
