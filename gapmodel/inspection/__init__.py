"""What a model does inside, for one record, as one picture."""
