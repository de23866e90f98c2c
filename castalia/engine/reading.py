"""Tokens to what they say: thoughts, calls, answers, as they are written and when all is done."""

from castalia.document import Call, Document, Part
from castalia.engine.request import Reply, Request
from castalia.perception.perceive import Perception


class Reader:
    """Follows what a request writes with one perception's marks and tokenizer."""

    def __init__(self, perception: Perception) -> None:
        self.perception = perception
        self.special, self.decode = perception.special, perception.tokenizer.decode
        self.marks = {self.special[name] for name in ("think", "/think", "call", "/call", "end")}

    def advance(self, request: Request, token: int) -> Call | None:
        """Take note of one more token; return the call that it completes, if it does."""
        if token not in self.marks:
            return None
        special = self.special
        if token == special["think"]:
            request.state = "thinking"
        elif token == special["/think"]:
            request.state = "answering"
        elif token == special["call"] and request.state != "calling":
            request.calls_in_thought, request.state = request.state == "thinking", "calling"
        elif token == special["/call"] and request.state == "calling":
            request.state = "thinking" if request.calls_in_thought else "answering"
            run = request.run
            start = len(run) - 1 - run[::-1].index(special["call"])
            return self.call(run[start + 1 : -1])
        return None

    def call(self, tokens: list[int]) -> Call:
        """Read what stands between the marks of a call: a name, and arguments as JSON."""
        name, _, arguments = self.decode(tokens).strip().partition(" ")
        return Call(name, arguments.strip() or "{}")

    def meets_stop(self, request: Request) -> bool:
        """Say whether the answer so far contains one of the texts that end it."""
        if request.state != "answering":
            return False
        answer = Document(tuple(part for part in self.document(request) if part.author == "assistant")).text()
        return any(text in answer for text in request.sampling.stop)

    def document(self, request: Request) -> Document:
        """Return thoughts, calls, observations and answer, in order."""
        parts: list[Part] = []
        thinking, special = request.began_thinking, self.special
        for item in request.parts:
            if isinstance(item, Document):
                parts += [Part(part.content, "tool") for part in item]
                continue
            text: list[int] = []
            called = False
            for token in [*item, -1]:
                if token >= 0 and token not in self.marks:
                    text.append(token)
                    continue
                calling = called and token == special["/call"]
                if text and (calling or not called):  # a call without an end is none
                    content = self.call(text) if calling else self.decode(text)
                    parts.append(Part(content, "assistant", thought=thinking))
                text, called = [], token == special["call"]
                thinking = token == special["think"] or (thinking and token != special["/think"])
        return Document(tuple(parts))

    def reply(self, request: Request) -> Reply:
        """Return what has been written, as it stands."""
        document = self.document(request)
        words = [(p, p.content.strip()) for p in document if p.author == "assistant" and isinstance(p.content, str)]
        thoughts = " ".join(text for part, text in words if part.thought and text)
        answer = " ".join(text for part, text in words if not part.thought and text)
        met = None
        for text in request.sampling.stop:
            if text in answer:
                answer, met = answer.partition(text)[0], text
        config, context = self.perception.config, request.context
        return Reply(
            tokens=request.tokens,
            logprobs=request.logprobs.copy(),
            stopped=request.stopped or "length",
            thoughts=thoughts,
            answer=answer.strip(),
            document=document,
            sequence=context.sequence(config.patch_values, config.frame_values),
            prompt_tokens=request.prompt_tokens,
            cached_tokens=request.cached_tokens,
            seconds=request.seconds,
            met=met,
        )
