"""Which records are asked what, the same for training and evaluation."""
