"""What holds for all tests: no example fails for being slow, for machines are noisy."""

from hypothesis import settings

settings.register_profile("castalia", deadline=None)
settings.load_profile("castalia")
