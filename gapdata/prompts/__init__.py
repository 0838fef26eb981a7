"""Make instance masks and visual prompts: which pixels are asked about, and how they are marked."""
