"""A look inside a model, for one record, as one picture; and a look at the model without its geometry."""
