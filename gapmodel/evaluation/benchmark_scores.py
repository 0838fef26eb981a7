"""Scores of published benchmarks' own questions: each by its own rules, and ours beside them.

Our score reads an answer as it reads those to our own questions: the first number, or the letter at the beginning. A
short answer is right if it is an accepted one but for case, marks, articles and how numbers are written.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from gapdata.records.expressions import Conversation
from gapdata.tasks.chat import Unparsable
from gapdata.tasks.spatial.mra import relative_accuracy
from gapdata.tasks.spatial.question import parse_letter, parse_number
from gapmodel.evaluation.captions import bleu, cider, rouge_l
from gapmodel.evaluation.meteor import meteor
from gapmodel.evaluation.published import short_answers, spar, vsi
from gapmodel.evaluation.published.relative_error import MAX_CHARACTERS
from gapmodel.evaluation.spatial_scores import SpatialAnswer, mean

RULES: Mapping[str, str] = MappingProxyType(
    {"vsi-bench": "VSI-Bench", "spar-bench": "SPAR-Bench", "scanqa": "EM@1", "sqa3d": "EM@1"}
)
"""The name of the score by a benchmark's own rules, which its published figures are."""
VSI_GROUPS = (
    *(("object_counting",), ("object_abs_distance",), ("object_rel_distance",), ("object_size_estimation",)),
    ("room_size_estimation",),
    tuple(f"object_rel_direction_{level}" for level in ("easy", "medium", "hard")),
    *(("obj_appearance_order",), ("route_planning",)),
)
"""The eight figures of VSI-Bench's mean, of which one is the mean of three types."""
SQA3D_GROUPS = (*short_answers.SQA3D_TYPES, "others")
ALL = "all"
"""The type of ScanQA's questions, which have none."""
ARTICLES = ("a", "an", "the")


def type_of(item: Conversation) -> str:
    """Return the benchmark's own type of a question."""
    return item.question_type or ALL


def is_letter(item: Conversation) -> bool:
    """Return whether a question of VSI-Bench or SPAR-Bench is answered by a letter."""
    if item.benchmark == "vsi-bench":
        return bool(item.options)
    return not spar.is_number(type_of(item)) and type_of(item) != spar.VIEW_CHANGE


def benchmark_answer(item: Conversation, text: str, scene: str) -> SpatialAnswer:
    """Score one answer by the benchmark's rules, by others that are in use, and by ours."""
    score, reason = _ours(item, text)
    return SpatialAnswer(
        scene=scene,
        form="",
        score=score,
        exact=score == 1.0,
        reason=reason,
        published=_published(item, text),
    )


def _published(item: Conversation, text: str) -> dict[str, float]:
    accepted = item.answers or (item.answer,)
    if item.benchmark in ("scanqa", "sqa3d"):
        return {
            "EM@1": short_answers.exact_match(text, accepted),
            "EM-R": short_answers.refined_match(text, accepted),
        }
    letter = is_letter(item)
    if item.benchmark == "vsi-bench":
        scorers = {"VSI-Bench": vsi.original, "lmms-eval": vsi.lmms_eval, "VLMEvalKit": vsi.vlmevalkit}
        return {name: scorer(text, item.answer, letter=letter) for name, scorer in scorers.items()}
    if type_of(item) == spar.VIEW_CHANGE:
        mended = spar.mended_view_change(text, item.answer)
    else:
        mended = vsi.vlmevalkit(text, item.answer, letter=letter)
    return {"SPAR-Bench": spar.original(text, item.answer, type_of(item)), "VLMEvalKit": mended}


def _ours(item: Conversation, text: str) -> tuple[float, str | None]:
    """Return our score, and why an answer could not be read."""
    if item.benchmark in ("scanqa", "sqa3d"):
        said = plain(text)
        right = said in {plain(answer) for answer in item.answers or (item.answer,)}
        return float(right), None if said else "empty answer"
    if type_of(item) == spar.VIEW_CHANGE:
        said_axes = spar.axes(text)
        if not any(said_axes):
            return 0.0, "no axis moves or can be read"
        return float(relative_accuracy(said_axes, spar.axes(item.answer)).mean()), None
    if is_letter(item):
        letter = parse_letter(text)
        return float(letter == item.answer.upper()), letter.reason if isinstance(letter, Unparsable) else None
    number = parse_number(text)
    if isinstance(number, Unparsable):
        return 0.0, number.reason
    truth = parse_number(item.answer)
    return (0.0, None) if isinstance(truth, Unparsable) else (float(relative_accuracy(number, truth)), None)


def plain(text: str) -> str:
    """Return a short answer as we compare it: without case, marks and articles, with numbers in words."""
    text = re.sub(r"[^\w\s'-]+", " ", text[:MAX_CHARACTERS].casefold())
    words = text.split()
    words = [word for place, word in enumerate(words) if word not in ARTICLES or place + 1 == len(words)]
    spelt = {str(number): word for word, number in vsi.NUMBER_WORDS.items()}
    return " ".join(spelt.get(word, word) for word in words)


def caption_figures(items: Sequence[Conversation], texts: Sequence[str]) -> dict[str, float]:
    """Return what ScanQA reports beside exact match, over cleaned answers; METEOR only where its program is.

    The benchmark tokenises with a Java program, which drops the marks that the cleaning leaves: commas, colons,
    hyphens.
    """
    said = [short_answers.cleaned(text) for text in texts]
    accepted = [[short_answers.cleaned(answer) for answer in item.answers or (item.answer,)] for item in items]
    found = {
        "CIDEr": mean(cider(said, accepted)),
        **{f"BLEU-{size}": score for size, score in enumerate(bleu(said, accepted), start=1)},
        "ROUGE-L": mean(rouge_l(said, accepted)),
    }
    program = meteor(said, accepted)
    return found if program is None else {**found, "METEOR": program}
