"""Training: the loop in :mod:`gapmodel.training.loop`, and what it needs.

what to do     recipe  starting_point (the first model)
questions      augment  dense (targets and their head)  stream_questions  mixture  loading  census (what is asked)
a step         learner  optimisation  distributed  memory
a run          held_out  checkpointing  export  logbook  throughput  outcome  ray_train
"""
