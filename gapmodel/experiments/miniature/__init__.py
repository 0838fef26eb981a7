"""The paper's claim in miniature: does stage 1 make a model use its geometry, and does stage 2 gain from it?"""
