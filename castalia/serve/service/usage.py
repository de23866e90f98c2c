"""What a request has cost, in tokens."""

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
