"""What the APIs have in common: settings checked and turned into a `Job`, and parts of answers in JSON."""

import base64
import sys
import traceback
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from castalia.document import Document, Image
from castalia.engine.request import Sampling
from castalia.errors import AccessError, CastaliaError, DatabaseError
from castalia.reasoning.contemplate import MOST_AGENTS
from castalia.serve.errors import ApiError
from castalia.serve.service.functions import Function
from castalia.serve.service.job import Choice, Contemplating, Job
from castalia.serve.service.pieces import Acted, Done, Piece, Seen, Token, Words
from castalia.serve.service.usage import Usage, together
from castalia.tasks.effort import Effort

MOST_CHOICES, MOST_TOKENS = 64, 1 << 17

Temperature = Annotated[float, Field(ge=0, le=2)]
Share = Annotated[float, Field(ge=0, le=1)]
AnyEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]


class Strict(BaseModel):
    """A part of a request; what it does not know is an error that is named."""

    model_config = ConfigDict(extra="forbid", strict=False)


class ContemplateOptions(Strict):
    """Several agents think about one question, and their findings are merged."""

    agents: int = Field(default=8, ge=2, le=MOST_AGENTS, description="how many agents think, side by side")
    deadline: float | None = Field(default=None, gt=0, le=3600, description="seconds after which there is an answer")

    def made(self) -> Contemplating:
        """Return it as a part of a job."""
        return Contemplating(self.agents, self.deadline)


class FunctionOptions(Strict):
    """A function of the client's."""

    name: str = Field(pattern=r"^[a-zA-Z0-9_-]{1,64}$")
    description: str | None = ""
    parameters: dict[str, Any] | None = None
    strict: bool | None = None

    def made(self) -> Function:
        """Return it as a part of a job."""
        return Function(self.name, self.description or "", self.parameters or {"type": "object"})


def effort(wanted: str | None) -> Effort:
    """Return the effort that is wanted; more than high is high."""
    return "high" if wanted == "xhigh" else wanted or "medium"  # ty: ignore[invalid-explicit-return]


def with_something(prompt: Document) -> Document:
    """Return the prompt. Raises ApiError if there is nothing in it to answer."""
    if not any(part.author in ("user", "tool") for part in prompt):
        raise ApiError("there is nothing to answer: the messages hold nothing of the user's", param="messages")
    return prompt


def sampling(
    temperature: float | None,
    top_p: float | None,
    seed: int | None,
    stop: str | list[str] | None,
    *,
    min_p: float | None = None,
    top_k: int | None = None,
    n: int | None = None,
    top_logprobs: int | None = None,
    min_tokens: int | None = None,
) -> Sampling:
    """Return how tokens are drawn; None is the default. Raises ApiError for texts to stop at that cannot be kept."""
    stops = (stop,) if isinstance(stop, str) else tuple(stop or ())
    if len(stops) > 16 or not all(0 < len(text) <= 256 for text in stops):
        raise ApiError("at most 16 texts of 1 to 256 characters can end an answer", param="stop")
    return Sampling(
        temperature=temperature or 0.0,
        top_p=1.0 if top_p is None else max(top_p, 1e-6),
        min_p=min_p or 0.0,
        top_k=top_k or 0,
        seed=seed or 0,
        stop=stops,
        n=n or 1,
        top_logprobs=top_logprobs or 0,
        min_tokens=min_tokens or 0,
    )


def free_for_agents(job: Job) -> Job:
    """Return the job. Raises ApiError if agents are to contemplate what only one reply can be held to."""
    as_usual = Sampling(temperature=job.sampling.temperature, seed=job.sampling.seed)
    is_held = job.functions or job.schema is not None or job.logprobs or job.sampling != as_usual
    if job.contemplate and is_held:
        but = "tools, a format, stop, n, top_p, top_k, min_p, min_tokens or logprobs"
        raise ApiError(f"contemplate goes with one free answer: without {but}")
    return job


def chosen_tool(choice: str | None, named: str | None, functions: tuple[Function, ...]) -> str:
    """Return a job's tool choice. Raises ApiError if it cannot be kept."""
    names = [function.name for function in functions]
    if len(set(names)) < len(names):
        raise ApiError("two tools have the same name", param="tools")
    if named is not None and named not in names:
        raise ApiError(f"tool_choice names {named!r}, which is not among the tools", param="tool_choice")
    if choice == "required" and not names:
        raise ApiError("tool_choice is 'required', but there are no tools", param="tool_choice")
    return named or choice or "auto"


def picture_url(image: Image) -> str:
    """Return a picture as a data: address of PNG."""
    return f"data:image/png;base64,{base64.b64encode(image.png()).decode()}"


def reasoning_parts(trail: list[Piece]) -> list[dict[str, Any]]:
    """Return thoughts with what was done and seen among them: words, calls, results and pictures in order."""
    parts: list[dict[str, Any]] = []
    for piece in trail:
        if isinstance(piece, Words) and piece.kind == "thought":
            if parts and parts[-1]["type"] == "text":
                parts[-1]["text"] += piece.text
            else:
                parts.append({"type": "text", "text": piece.text})
        elif isinstance(piece, Acted) and piece.thought:
            parts.append({"type": "action", "name": piece.call.name, "arguments": piece.call.arguments})
        elif isinstance(piece, Seen):
            for part in piece.document:
                if isinstance(part.content, Image):
                    parts.append({"type": "image_url", "image_url": {"url": picture_url(part.content)}})
                elif isinstance(part.content, str):
                    parts.append({"type": "observation", "text": part.content})
    return parts


def logprob_content(tokens: tuple[Token, ...] | list[Token]) -> list[dict[str, Any]]:
    """Return tokens as OpenAI's APIs list them."""
    return [_logprob(token) | {"top_logprobs": [_logprob(other) for other in token.others]} for token in tokens]


def _logprob(token: Token) -> dict[str, Any]:
    text = token.raw.decode(errors="replace")
    return {"token": text, "logprob": round(token.logprob, 6), "bytes": list(token.raw)}


def usage_of(pieces: list[Done]) -> Usage:
    """Return what the replies to one prompt have cost, which is read once."""
    return together([done.usage for done in pieces])


def why(choice: Choice) -> Literal["stop", "length", "tool_calls"]:
    """Return why a reply ended."""
    if choice.stopped in ("length", "time", "cancelled"):
        return "length"
    return "tool_calls" if choice.functions else "stop"


def as_api_error(error: BaseException) -> ApiError:
    """Return any error as one of the API's: a user's with its sentence, any other as a defect of ours."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, AccessError):
        return ApiError(str(error), error.status, error.code, headers=error.headers)
    if isinstance(error, DatabaseError):
        return ApiError("what is kept here cannot be read or written now", 503)
    if not isinstance(error, CastaliaError):
        return ApiError("something went wrong here, not in your request; it has been noted", 500)
    code = "context_length_exceeded" if "does not fit the cache" in str(error) else None
    return ApiError(str(error), code=code)


def noted(error: Exception) -> ApiError:
    """Return an error as the client is told it; what is not for clients is printed here."""
    if isinstance(error, DatabaseError):
        print(error, file=sys.stderr)
    elif not isinstance(error, CastaliaError):
        traceback.print_exception(error, file=sys.stderr)
    return as_api_error(error)
