"""The choice of records and of the questions about them, the same for training and evaluation."""
