"""Task families: generator, difficulty, verifier, reference thoughts; one family a file. They never know a model."""
