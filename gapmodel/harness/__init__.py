"""Other people's benchmarks on our models: what lmms-eval (0.7) needs to score a trained directory by any of its tasks.

Nothing here is imported unless lmms-eval runs: it finds :func:`gapmodel.harness.manifest.manifest` by an entry point.
Only :mod:`gapmodel.harness.lmms_model` imports lmms-eval; conversations, videos and settings are read without it.
"""
