"""Caption scores against cases computed by hand and against a slow transcription of their definitions."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gapmodel.evaluation import captioning
from gapmodel.evaluation.captioning import Caption
from gapmodel.evaluation.captions import bleu, cider, longest_common_subsequence, rouge_l
from gapmodel.evaluation.meteor import meteor, meteor_is_there

WORDS = ["sos", "eos", "the", "chair", "is", "red", ".", ""]
sentences = st.lists(st.sampled_from(WORDS), min_size=1, max_size=12).map(" ".join)
corpora = st.lists(st.tuples(sentences, st.lists(sentences, min_size=1, max_size=4)), min_size=1, max_size=5)


def grams(words: list[str], size: int) -> list[tuple[str, ...]]:
    return [tuple(words[at : at + size]) for at in range(len(words) - size + 1)]


def slow_bleu(candidates: list[str], references: list[list[str]]) -> list[float]:
    """Papineni et al. 2002, section 2.3, with coco-caption's two guards and the closest reference length."""
    scores = []
    c = sum(len(text.split()) for text in candidates)
    r = 0
    for text, others in zip(candidates, references, strict=True):
        lengths = sorted(len(other.split()) for other in others)
        r += min(lengths, key=lambda length: abs(length - len(text.split())))
    for order in range(1, 5):
        logs = 0.0
        for size in range(1, order + 1):
            hits = guesses = 0
            for text, others in zip(candidates, references, strict=True):
                mine = grams(text.split(), size)
                guesses += len(mine)
                for gram in set(mine):
                    hits += min(mine.count(gram), max(grams(other.split(), size).count(gram) for other in others))
            logs += math.log((hits + 1e-15) / (guesses + 1e-9))
        score = math.exp(logs / order)
        ratio = (c + 1e-15) / (r + 1e-9)
        scores.append(score * math.exp(1 - 1 / ratio) if ratio < 1 else score)
    return scores


def slow_lcs(a: list[str], b: list[str]) -> int:
    table = np.zeros((len(a) + 1, len(b) + 1), dtype=int)
    for i in range(len(a)):
        for j in range(len(b)):
            table[i + 1, j + 1] = table[i, j] + 1 if a[i] == b[j] else max(table[i, j + 1], table[i + 1, j])
    return int(table[-1, -1])


def slow_cider(candidates: list[str], references: list[list[str]]) -> list[float]:
    """Vedantam et al. 2015, equations 1 to 4 and CIDEr-D's clipping and penalty, over explicit vocabularies."""
    items = len(references)
    scores = []
    for text, others in zip(candidates, references, strict=True):
        total = 0.0
        for size in range(1, 5):
            every = sorted({gram for t in [text, *others] for gram in grams(t.split(), size)})
            df = [sum(any(gram in grams(o.split(), size) for o in group) for group in references) for gram in every]
            idf = np.array([math.log(items) - math.log(max(1, n)) for n in df])
            hyp = np.array([grams(text.split(), size).count(gram) for gram in every]) * idf
            for other in others:
                ref = np.array([grams(other.split(), size).count(gram) for gram in every]) * idf
                delta = max(len(text.split()) - 1, 0) - max(len(other.split()) - 1, 0)
                norms = float(np.linalg.norm(hyp) * np.linalg.norm(ref)) if every else 0.0
                value = float(np.minimum(hyp, ref) @ ref) / (norms if norms else 1.0)
                total += value * math.exp(-(delta**2) / (2 * 36)) / len(others)
        scores.append(10 * total / 4)
    return scores


@settings(max_examples=120, deadline=None)
@given(corpora)
def test_all_three_agree_with_their_definitions(corpus: list[tuple[str, list[str]]]) -> None:
    candidates, references = [text for text, _ in corpus], [others for _, others in corpus]
    np.testing.assert_allclose(bleu(candidates, references), slow_bleu(candidates, references), rtol=1e-9, atol=1e-15)
    np.testing.assert_allclose(cider(candidates, references), slow_cider(candidates, references), rtol=1e-9, atol=1e-12)
    for value, text, others in zip(rouge_l(candidates, references), candidates, references, strict=True):
        mine = text.split(" ")
        precision = max(slow_lcs(mine, other.split(" ")) / len(mine) for other in others)
        recall = max(slow_lcs(mine, other.split(" ")) / len(other.split(" ")) for other in others)
        f = (1 + 1.44) * precision * recall / (recall + 1.44 * precision) if precision and recall else 0.0
        assert value == pytest.approx(f, abs=1e-12)


def test_bleu_of_a_case_computed_by_hand() -> None:
    # 7 words, unigrams clipped to 2 of "the" (Papineni's example), closest reference of 7 words: no penalty.
    candidate, others = "the the the the the the the", ["the cat is on the mat x", "there is a cat on the mat"]
    assert bleu([candidate], [others])[0] == pytest.approx(2 / 7, abs=1e-9)
    # 2 words against 4: penalty exp(1 - 4/2); both words and the pair are right.
    short = bleu(["a b"], [["a b c d"]])
    assert short[0] == pytest.approx(math.exp(-1), abs=1e-8)
    assert short[1] == pytest.approx(math.exp(-1), abs=1e-8)
    # Of two equally close lengths the shorter counts: 3 words against 2 and 4 have no penalty.
    assert bleu(["a b c"], [["a b c d", "a b"]])[0] == pytest.approx(1.0, abs=1e-8)


def test_rouge_of_a_case_computed_by_hand() -> None:
    # Lin 2004: "police killed the gunman" / "police kill the gunman": 3 of 4 words in order, so F = 3/4.
    assert rouge_l(["police kill the gunman"], [["police killed the gunman"]]) == [pytest.approx(0.75)]
    # Two spaces make an empty word: 2 of 3 words against 2 of 2.
    p, r = 2 / 3, 1.0
    assert rouge_l(["sos  eos"], [["sos eos"]]) == [pytest.approx(2.44 * p * r / (r + 1.44 * p))]
    assert longest_common_subsequence([], ["a"]) == 0


def test_cider_of_a_case_computed_by_hand() -> None:
    # Two items without a common word: every n-gram has idf log 2, so a verbatim copy has cosine 1 in the sizes that
    # exist, here 1 to 2, and nothing in 3 and 4.
    assert cider(["a b", "c d"], [["a b"], ["c d"]]) == [pytest.approx(5.0), pytest.approx(5.0)]
    # "a" alone: cosine 1/sqrt(2) in unigrams, one pair of words fewer.
    expected = 10 / 4 / math.sqrt(2) * math.exp(-1 / 72)
    assert cider(["a", "c d"], [["a b"], ["c d"]])[0] == pytest.approx(expected)
    assert cider(["a b c d"], [["a b c d"]]) == [0.0]  # a single item: every idf is log 1


def test_an_empty_corpus_has_no_scores() -> None:
    assert cider([], []) == []
    assert rouge_l([], []) == []
    assert all(math.isnan(value) for value in bleu([], []))


def test_meteor_is_not_there_without_its_program() -> None:
    if not meteor_is_there():
        assert meteor(["a"], [["a"]]) is None
    assert meteor([], []) is None


def caption(text: str | None, iou: float = 1.0, scene: str = "a") -> Caption:
    return Caption(scene=scene, text=text, references=("This is a red chair.", "A chair, near the door."), iou=iou)


def test_an_object_that_was_not_found_has_an_empty_caption() -> None:
    good, other = "this is a red chair.", caption("it is a table.", scene="b")
    scores = captioning.score([caption(good, iou=0.4), other])
    assert scores.found == {"0.25": 2, "0.50": 1}
    assert scores.scores["0.50"] == captioning.score([caption("", iou=0.4), other]).scores["0.50"] | {
        "METEOR": pytest.approx(scores.scores["0.50"]["METEOR"], nan_ok=True)
    }
    assert scores.scores["0.25"]["BLEU-4"] > scores.scores["0.50"]["BLEU-4"]
    # The threshold itself is enough, as in the authors' `iou >= 0.5`.
    assert captioning.score([caption(good, iou=0.5)]).found["0.50"] == 1


def test_missing_and_empty_captions_count_as_wrong_and_apart() -> None:
    scores = captioning.score([caption(None, iou=0.0), caption("``` ```"), caption("a red chair")])
    assert scores.objects == 3
    assert scores.reasons == {captioning.MISSED: 1, "empty caption": 1}
    assert scores.unparsable == 2
    assert 0 < scores.scores["0.50"]["ROUGE-L"] < 1


def test_the_reference_itself_scores_higher_than_anything_else() -> None:
    items = [caption("This is a red chair."), Caption(scene="b", text="a bed.", references=("a bed.",), iou=1.0)]
    best = captioning.score(items).scores["0.50"]
    assert best["ROUGE-L"] == pytest.approx(1.0)
    assert best["BLEU-4"] == pytest.approx(1.0)


def test_the_authors_score_fences_as_words_and_only_half_overlaps() -> None:
    fenced = [caption("```\nthis is a red chair.\n```"), Caption(scene="b", text="x", references=("y",), iou=1.0)]
    ours, theirs = captioning.score(fenced), captioning.score(fenced, compat="gap")
    assert list(theirs.scores) == ["0.50"]
    assert theirs.scores["0.50"]["BLEU-1"] < ours.scores["0.50"]["BLEU-1"]
    assert math.isnan(theirs.scores["0.50"]["METEOR"])


def test_scan2caps_form_is_what_is_compared() -> None:
    candidates, references = captioning._texts([caption("A chair, red.")], 0.5, "none")
    assert candidates == ["sos a chair ,  red .  eos"]
    assert Counter(references[0][0].split(" "))[""] == 1
