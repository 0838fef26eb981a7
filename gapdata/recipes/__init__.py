"""Recipes: TOML files to typed dataclasses, and where recipes and category lists lie."""
