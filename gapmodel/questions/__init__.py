"""Records to questions, the same for training and evaluation."""
