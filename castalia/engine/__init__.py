"""Sequences out: cache, sampler, generation. The only thing that makes tokens."""
