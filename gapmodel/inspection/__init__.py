"""A look inside a model, for one record, as one picture."""
