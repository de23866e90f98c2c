"""Tokens of one request to pieces: thoughts, calls, what came back, the answer, as soon as they are certain."""

from dataclasses import dataclass, field

from castalia.engine.engine import Event
from castalia.engine.reading import Reader
from castalia.engine.request import Request
from castalia.serve.service.pieces import Acted, Done, Kind, Piece, Seen, Token, Words
from castalia.serve.service.usage import Usage


def usage_of(request: Request) -> Usage:
    """Return what a request has cost so far; what agents that it sent out have written counts as its thoughts."""
    written, thought = request.written + request.delegated, request.thought + request.delegated
    return Usage(request.prompt_tokens, request.cached_tokens, written, thought)


@dataclass
class Transcript:
    """Takes the events of one request. All its words together are the reply's thoughts and its answer.

    `logprobs`: whether words of the answer have their tokens.
    """

    reader: Reader
    logprobs: bool = False
    written: dict[Kind, str] = field(default_factory=lambda: {"thought": "", "answer": ""})
    count: int = 0
    calls: int = 0
    thought: bool = False
    calling: bool = False
    _ids: list[int] = field(default_factory=list)
    _read: str = ""
    """What tokens of this run read that are no longer among `_ids`: whole characters."""
    _before: str = ""
    """What had been written of its kind before this run of tokens."""
    _tokens: list[Token] = field(default_factory=list)

    def take(self, events: list[Event]) -> list[Piece]:
        """Return what has become certain by these events."""
        pieces: list[Piece] = []
        for event in events:
            if event.token is not None:
                pieces += self._token(event)
            elif event.observation is not None:
                pieces += [*self._words(whole=True), Seen(event.observation)]
                self._begin()
            elif event.reply is not None:
                pieces += self._finish(event)
        if not (pieces and isinstance(pieces[-1], Done)) and not self.calling:
            stops = events[-1].request.sampling.stop if events else ()
            pieces += self._words(held_back=max(map(len, stops), default=1) - 1)
        return pieces

    def _token(self, event: Event) -> list[Piece]:
        token, special = event.token, self.reader.special
        assert token is not None
        number, self.count = self.count, self.count + 1
        if token not in self.reader.marks:
            self._ids.append(token)
            if self.logprobs and not self.thought and not self.calling:
                top = event.request.tops[number] if event.request.sampling.top_logprobs else []
                bytes_of = self.reader.perception.tokenizer.bytes_of
                others = tuple(Token(bytes_of(other), value) for other, value in top)
                self._tokens.append(Token(bytes_of(token), event.request.logprobs[number], others))
            return []
        pieces: list[Piece] = []
        if self.calling and token == special["/call"]:
            pieces.append(Acted(self.reader.call(self._ids), self.calls, self.thought))
            self.calls += 1
        elif not self.calling:
            pieces += self._words(whole=True)
        if token == special["think"]:
            self.thought = True
        elif token == special["/think"]:
            self.thought = False
        self.calling = token == special["call"]
        self._begin()
        return pieces

    def _begin(self) -> None:
        self._ids, self._read = [], ""
        self._before = self.written["thought" if self.thought else "answer"]

    def _words(self, held_back: int = 0, whole: bool = False) -> list[Piece]:
        """Return what is new of this run; of an answer not the last characters, which may begin a text that ends it."""
        kind: Kind = "thought" if self.thought else "answer"
        text = self._read + self.reader.decode(self._ids)
        if not text.endswith("\N{REPLACEMENT CHARACTER}"):
            self._ids, self._read = [], text
        text = text.strip() if whole else text.strip().rstrip("\N{REPLACEMENT CHARACTER}").rstrip()
        text = f"{self._before} {text}" if self._before and text else self._before or text
        if kind == "answer" and held_back and not whole:
            text = text[:-held_back].rstrip()
        return self._more(kind, text)

    def _more(self, kind: Kind, text: str) -> list[Piece]:
        new = text[len(self.written[kind]) :]
        if not new:
            return []
        self.written[kind] = text
        tokens: tuple[Token, ...] = ()
        if kind == "answer":
            tokens, self._tokens = tuple(self._tokens), []
        return [Words(kind, new, tokens)]

    def _finish(self, event: Event) -> list[Piece]:
        reply = event.reply
        assert reply is not None
        return [
            *self._more("thought", reply.thoughts),
            *self._more("answer", reply.answer),
            Done(reply.stopped, reply.answer, usage_of(event.request), reply.met),
        ]
