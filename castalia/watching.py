"""What a person sees of thinking: tokens as they come, canvases as files, agents side by side."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from PIL import Image as pillow
from rich.columns import Columns
from rich.console import Console, Group
from rich.live import Live
from rich.panel import Panel
from rich.text import Text

from castalia.document import Call, Image
from castalia.engine.engine import Engine, Event
from castalia.engine.request import Request

REFRESH = 0.1
"""Seconds between two looks at what several agents write."""


@dataclass
class Canvases:
    """Keeps every picture that comes back from an action as a PNG in `directory`, which is made when it is needed."""

    directory: Path
    names: dict[int, str] = field(default_factory=dict)
    """By the identity of the picture."""
    kept: list[Image] = field(default_factory=list)

    def keep(self, image: Image, agent: int) -> str:
        """Write `image`, once, and return the file's name."""
        if id(image) not in self.names:
            self.directory.mkdir(parents=True, exist_ok=True)
            before = [path.name.partition("-")[0] for path in self.directory.glob("*-agent*.png")]
            number = max((int(name) for name in before if name.isdigit()), default=0) + 1
            path = self.directory / f"{number:03d}-agent{agent + 1}.png"
            pillow.fromarray(image.pixels_HWC).save(path)
            self.names[id(image)] = str(path)
            self.kept.append(image)  # an identity is unique only while its owner lives
        return self.names[id(image)]


@dataclass
class Watcher:
    """Takes the engine's events and shows them on `console`; `canvases` None keeps no pictures."""

    engine: Engine
    console: Console
    canvases: Canvases | None = None
    live: Live | None = None
    rounds: list[list[Request]] = field(default_factory=list)
    """Who has written so far; whoever begins when all others are done begins a round."""
    sent: dict[Request, None] = field(default_factory=dict)
    """Agents that a chain has sent out and not been shown with yet."""
    printed: int = 0
    looked: float = 0.0

    def __call__(self, event: Event) -> None:
        """Take note of one event."""
        if event.request.depth:
            self.sent.setdefault(event.request)
        elif not any(event.request in requests for requests in self.rounds):
            if not self.rounds or all(request.stopped for request in self.rounds[-1]):
                self.rounds.append([])
            self.rounds[-1].append(event.request)
        if self.canvases is not None and event.observation is not None:
            for part in event.observation:
                if isinstance(part.content, Image):
                    self.canvases.keep(part.content, event.request.index)
        if self.live is None:
            self._print(event)
        elif time.perf_counter() - self.looked >= REFRESH:
            self.looked = time.perf_counter()
            self.live.update(self.panels())

    def _print(self, event: Event) -> None:
        """Print what one chain has written since the last time, as far as it is whole characters.

        Agents that it sends out are printed side by side when they are all done.
        """
        if event.request.depth:
            return
        if self.sent:
            self.console.print(Columns([self._panel(request) for request in self.sent], equal=True))
            self.sent.clear()
        text = self.text(event.request)
        whole = text.plain.rstrip("\N{REPLACEMENT CHARACTER}")
        if event.reply is None and event.observation is None and len(whole) - self.printed < 1:
            return
        self.console.print(text[self.printed : len(whole)], end="", soft_wrap=True)
        self.printed = max(self.printed, len(whole))

    def text(self, request: Request) -> Text:
        """Return thoughts (dim), calls, what came back, and the answer of a request so far."""
        text = Text()
        for part in self.engine.reader.document(request):
            content = part.content
            if isinstance(content, Call):
                text.append("\n" if text.plain and not text.plain.endswith("\n") else "")
                text.append(f"→ {content.name} {content.arguments}\n", "cyan")
            elif isinstance(content, Image):
                name = self.canvases.keep(content, request.index) if self.canvases else "a picture"
                text.append(f"← {content.width} × {content.height} {name}\n", "green")
            elif part.author == "tool":
                text.append(f"← {content}\n", "green")
            elif part.thought:
                text.append(str(content), "dim")
            else:
                text.append(("\n" if text.plain and not text.plain.endswith("\n") else "") + str(content), "bold")
        return text

    def panels(self) -> Group:
        """Return agents side by side; whoever goes on with their conclusions stands below them."""
        return Group(*(Columns([self._panel(r) for r in requests], equal=True) for requests in self.rounds))

    def _panel(self, request: Request) -> Panel:
        title = f"agent {request.index + 1}" if request.stopped is None else f"agent {request.index + 1} ✓"
        return Panel(self.text(request), title=title, width=max(19, self.console.width // 4 - 1))


@contextmanager
def watching(
    engine: Engine, console: Console, canvases: Path | None, agents: int
) -> Generator[Callable[[Event], None]]:
    """Show what the engine does while this lasts: one chain as it is written, several agents side by side."""
    watcher = Watcher(engine, console, Canvases(canvases) if canvases else None)
    if agents < 2:
        yield watcher
        console.print()
        return
    with Live(console=console, auto_refresh=True, vertical_overflow="visible") as live:
        watcher.live = live
        yield watcher
        live.update(watcher.panels())
    if not console.is_terminal:
        console.print()
