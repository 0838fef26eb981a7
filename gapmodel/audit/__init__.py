"""Does geometry do anything? A model with its own geometry against the same model without it."""
