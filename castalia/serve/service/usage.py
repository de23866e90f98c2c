"""What a request has cost, in tokens."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Usage:
    """Tokens: of the prompt, of these found in the cache; written, of these in thought."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0
    reasoning: int = 0

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            self.prompt + other.prompt,
            self.cached + other.cached,
            self.completion + other.completion,
            self.reasoning + other.reasoning,
        )


def together(usages: Sequence[Usage]) -> Usage:
    """Return what several replies to one prompt have cost: it is read once."""
    prompt, cached = (max((getattr(usage, name) for usage in usages), default=0) for name in ("prompt", "cached"))
    written = sum(usages, Usage())
    return Usage(prompt, min(prompt, cached), written.completion, written.reasoning)
