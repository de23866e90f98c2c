"""Errors as clients of each API expect them: a status, and a sentence in the API's own shape."""

from dataclasses import dataclass, field
from typing import Any

from castalia.errors import CastaliaError

TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}
"""Types of errors in Anthropic's API, by status; OpenAI's are the same where its clients look at them."""


@dataclass
class ApiError(CastaliaError):
    """What is answered instead: `message` says what would be right, `param` names what is wrong."""

    message: str
    status: int = 400
    code: str | None = None
    param: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        return self.message

    @property
    def type(self) -> str:
        """The error's type."""
        return TYPES.get(self.status, TYPES[400] if self.status < 500 else TYPES[500])

    def openai(self) -> dict[str, Any]:
        """Return the body as OpenAI's API has it."""
        return {"error": {"message": self.message, "type": self.type, "param": self.param, "code": self.code}}

    def anthropic(self, request_id: str) -> dict[str, Any]:
        """Return the body as Anthropic's API has it."""
        return {
            "type": "error",
            "error": {"type": self.type, "message": self.message},
            "request_id": request_id,
        }
