"""Training: the loop in :mod:`gapmodel.training.loop`, and what it needs.

what to do     recipe  starting_point (the first model)
questions      augment  dense (targets and their head)  stream_questions  mixture  loading  census (what is asked)
a step         step  learner  low_rank  optimisation  distributed  memory  memory_count  live_bytes
a run          run (before its first step)  held_out  geometry_use  checkpointing  export  logbook
               throughput  outcome  replacing  ray_train
"""
