"""Model directories that load anywhere: with their code, a processor of transformers and a card."""
