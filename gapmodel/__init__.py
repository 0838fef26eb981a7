"""Qwen3-VL with a geometry encoder inside, fused level by level (GAP-MLLM, arXiv 2603.16461).

``geometry/`` encodes the frames, ``fusion.py`` brings each level to the visual tokens of the same level,
``modeling.py`` hooks that into the stock transformers classes; ``processing.py`` and ``data.py`` turn records into
batches, ``train.py`` trains, ``generate.py`` answers, ``evaluation/`` scores.
"""
