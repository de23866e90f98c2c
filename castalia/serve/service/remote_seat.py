"""An endpoint as one job sees it: requests that ask it turn by turn, carrying out what it calls, and their events."""

import asyncio
import json
import time
from collections.abc import AsyncGenerator, Callable, Mapping
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import httpx

from castalia.actions.action import Action, Session
from castalia.document import Call, Document, Part
from castalia.engine.context import Context
from castalia.engine.request import Actor, Budget, Reply, Sampling, Stopped
from castalia.engine.shared import Mailbox
from castalia.serve.errors import ApiError
from castalia.serve.service.job import Job
from castalia.serve.service.pieces import Acted, Done, Piece, Seen, Words
from castalia.serve.service.remote_messages import as_messages, as_tools, observed
from castalia.serve.service.usage import Usage


@dataclass(eq=False)
class RemoteRequest:
    """One reply in the making, as strategies and transcribers know requests."""

    index: int
    prompt: Document
    sampling: Sampling
    budget: Budget
    actor: Actor | None
    depth: int = 0
    stopped: Stopped | None = None
    words: dict[str, str] = field(default_factory=lambda: {"thought": "", "answer": ""})
    usage: Usage = field(default_factory=Usage)
    started: float = field(default_factory=time.perf_counter)
    task: Future | None = None
    calls: int = 0

    def reply(self) -> Reply:
        """Return what has been written, as it stands."""
        parts = [Part(self.words["thought"], "assistant", thought=True)] if self.words["thought"] else []
        return Reply(
            tokens=[0] * self.usage.completion,
            logprobs=[],
            stopped=self.stopped or "length",
            thoughts=self.words["thought"].strip(),
            answer=self.words["answer"].strip(),
            document=Document((*parts, Part(self.words["answer"].strip(), "assistant"))),
            sequence=Context().sequence(1, 1),
            prompt_tokens=self.usage.prompt,
            cached_tokens=self.usage.cached,
            seconds=time.perf_counter() - self.started,
        )


@dataclass(frozen=True)
class RemoteEvent:
    """As `engine.Event`, with `piece` for what is no token of ours."""

    request: RemoteRequest
    piece: Piece
    token: int | None = None
    observation: Document | None = None
    reply: Reply | None = None


class RemoteSeat(Mailbox[RemoteEvent]):
    """An endpoint as one job sees it, with the methods of `engine.shared.Seat`."""

    perception = None

    def __init__(self, service: Any, job: Job, ready: Callable[[], None]) -> None:
        super().__init__(ready, service.loop.is_running)
        self.service, self.job = service, job

    def submit(
        self, prompt: Document, sampling: Sampling, budget: Budget, actor: Actor | None = None, index: int = 0
    ) -> RemoteRequest:
        """Send one prompt for one reply."""
        request = RemoteRequest(index, prompt, sampling, budget, actor)
        request.task = asyncio.run_coroutine_threadsafe(self._answer(request), self.service.loop)
        return request

    def cancel(self, request: RemoteRequest) -> Reply | None:
        """Stop a request and return what it has written; None if it is done."""
        if request.stopped is not None:
            return None
        request.stopped = "cancelled"
        assert request.task is not None
        request.task.cancel()
        return request.reply()

    def leave(self, requests: list[RemoteRequest]) -> None:
        """Stop requests."""
        for request in requests:
            self.cancel(request)

    def _tell(self, request: RemoteRequest, piece: Piece, reply: Reply | None = None) -> None:
        if isinstance(piece, Words):
            request.words[piece.kind] += piece.text
        self.give([RemoteEvent(request, piece, reply=reply)])

    async def _answer(self, request: RemoteRequest) -> None:
        try:
            async with asyncio.timeout(request.budget.seconds):
                stopped = await self._turns(request)
        except TimeoutError:
            stopped = "time"
        except Exception as error:
            self.give([], error)
            return
        if request.stopped is None:
            request.stopped = stopped
            reply = request.reply()
            self._tell(request, Done(stopped, reply.answer, request.usage), reply)

    async def _turns(self, request: RemoteRequest) -> Stopped:
        """Ask, carry out what is called, and ask again, until there is an answer or a call that is the client's."""
        messages = as_messages(request.prompt)
        session = request.actor if isinstance(request.actor, Session) else None
        for turn in range(request.budget.actions + 1):
            acts = session.actions if session and turn < request.budget.actions else {}
            said, calls, finish = await self._ask(request, messages, acts)
            ours = [call for call in calls if call["function"]["name"] in acts]
            if session is None or not ours or len(ours) < len(calls):
                for call in calls:
                    if call not in ours:
                        self._acts(request, call, thought=False)
                return "length" if finish == "length" else "end"
            messages.append({"role": "assistant", "content": said or None, "tool_calls": calls})
            results = []
            for call in ours:
                seen = await _carried_out(session, self._acts(request, call, thought=True))
                self._tell(request, Seen(seen))
                results.append((call["id"], seen))
            messages += observed(results)
        return "length"

    def _acts(self, request: RemoteRequest, call: dict[str, Any], *, thought: bool) -> Call:
        """Tell of a call and return it."""
        made = Call(call["function"]["name"], call["function"]["arguments"] or "{}")
        self._tell(request, Acted(made, request.calls, thought))
        request.calls += 1
        return made

    async def _ask(
        self, request: RemoteRequest, messages: list[dict[str, Any]], acts: Mapping[str, Action]
    ) -> tuple[str, list[dict[str, Any]], str | None]:
        """Return words, calls and why it ended, of one turn."""
        body = self._body(request, messages, acts)
        said, calls, finish = "", dict[int, dict[str, Any]](), None
        before = request.usage
        try:
            async for chunk in _chunks(self.service, body):
                if usage := chunk.get("usage"):
                    request.usage = before + _usage(usage)  # what is said in several chunks are running totals
                for choice in chunk.get("choices") or ():
                    delta = choice.get("delta") or {}
                    if thought := delta.get("reasoning_content") or delta.get("reasoning"):
                        self._tell(request, Words("thought", thought))
                    if text := delta.get("content"):
                        said += text
                        self._tell(request, Words("answer", text))
                    for part in delta.get("tool_calls") or ():
                        _add(calls.setdefault(part.get("index", 0), {}), part)
                    finish = choice.get("finish_reason") or finish
        except (httpx.DecodingError, AttributeError, KeyError, TypeError, ValueError) as error:
            raise _failed(self.service.url, "answers what is not understood", error) from error
        return said, [calls[number] for number in sorted(calls)], finish

    def _body(
        self, request: RemoteRequest, messages: list[dict[str, Any]], acts: Mapping[str, Action]
    ) -> dict[str, Any]:
        """Return what the endpoint is asked; what is as everybody has it is left out."""
        job, sampling = self.job, request.sampling
        tools = as_tools(acts, job.functions)
        choice = job.tool_choice
        named = {"type": "function", "function": {"name": choice}}
        wanted: dict[str, Any] = {
            "temperature": sampling.temperature,
            "top_p": sampling.top_p if sampling.top_p < 1 else None,
            "top_k": sampling.top_k or None,
            "min_p": sampling.min_p or None,
            "seed": sampling.seed + request.index,
            "stop": list(sampling.stop) or None,
            "max_tokens": job.max_tokens,
            "min_tokens": sampling.min_tokens or None,
            "reasoning_effort": None if job.effort == "medium" else job.effort,
            "tools": tools or None,
            "parallel_tool_calls": False if tools and not job.parallel else None,
            "tool_choice": (choice if choice in ("none", "auto", "required") else named) if tools else None,
            "response_format": _format(job.schema),
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        stream = {"stream": True, "stream_options": {"include_usage": True}}
        return {"model": self.service.model, "messages": messages, **stream, **given}


def _format(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    if schema is None:
        return None
    named = {"name": "answer", "schema": schema, "strict": True}
    return {"type": "json_schema", "json_schema": named} if schema else {"type": "json_object"}


def _usage(usage: dict[str, Any]) -> Usage:
    prompt, completion = usage.get("prompt_tokens_details") or {}, usage.get("completion_tokens_details") or {}
    return Usage(
        usage.get("prompt_tokens") or 0,
        prompt.get("cached_tokens") or 0,
        usage.get("completion_tokens") or 0,
        completion.get("reasoning_tokens") or 0,
    )


def _add(call: dict[str, Any], part: dict[str, Any]) -> None:
    """Add a piece of a call to what there is of it."""
    call.setdefault("id", part.get("id") or f"call_{id(call):x}")
    call.setdefault("type", "function")
    function = call.setdefault("function", {"name": "", "arguments": ""})
    for name in ("name", "arguments"):
        function[name] += (part.get("function") or {}).get(name) or ""


async def _chunks(service: Any, body: dict[str, Any]) -> AsyncGenerator[dict[str, Any]]:
    """Yield what the endpoint streams. Raises ApiError with what it says if it refuses, or if it breaks off."""
    begun = ended = False
    try:
        async with service.client.stream("POST", f"{service.url}/chat/completions", json=body) as response:
            begun = True
            if response.status_code != 200:
                text = (await response.aread()).decode(errors="replace")
                raise _refused(response.status_code, text)
            async for line in response.aiter_lines():
                data = line[5:].strip() if line.startswith("data:") else ""
                if data == "[DONE]":
                    ended = True
                elif data:
                    chunk = json.loads(data)
                    if chunk.get("error"):
                        raise _refused(502, data)
                    ended = ended or any(choice.get("finish_reason") for choice in chunk.get("choices") or ())
                    yield chunk
    except (httpx.TransportError, httpx.InvalidURL) as error:
        # What has ended has ended, however the connection is closed.
        if not ended:
            raise _failed(service.url, "broke off" if begun else "cannot be reached", error) from error
    else:
        if not ended:
            raise ApiError(f"the model's endpoint {service.url} broke off before the answer was complete", 502)


def _refused(status: int, text: str) -> ApiError:
    try:
        error = json.loads(text)["error"]
        said = error["message"] if isinstance(error, dict) else str(error)
    except (ValueError, KeyError, TypeError):
        said = text[:300]
    # A key that the endpoint does not take is no fault of the client's.
    return ApiError(f"the model's endpoint says: {said}", status if status in (400, 404, 413, 429) else 502)


def _failed(url: str, what: str, error: Exception) -> ApiError:
    return ApiError(f"the model's endpoint {url} {what}: {str(error) or type(error).__name__}", 502)


async def _carried_out(session: Session, call: Call) -> Document:
    """Carry out a call beside the loop; what takes its time is waited for."""
    outcome = await asyncio.to_thread(session.act, call)
    if isinstance(outcome, Future):
        return await asyncio.wrap_future(outcome)
    assert isinstance(outcome, Document)
    return outcome
