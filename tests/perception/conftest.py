"""Hypothesis without a clock: on a busy machine one example may take long."""

from hypothesis import settings

settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")
