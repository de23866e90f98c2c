"""A server with the page, of a tiny model or of a service that keeps to a script, and somebody with a real browser."""

import asyncio
import shutil
import threading
import time
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import uvicorn
from PIL import Image as pillow
from PIL import ImageDraw

from castalia.actions.action import Session, State
from castalia.actions.canvas import CANVAS
from castalia.document import Call, Document
from castalia.recipes import load_recipe
from castalia.serve.access import Gate
from castalia.serve.api.answering import House
from castalia.serve.app import build_app
from castalia.serve.database import Usage, open_database
from castalia.serve.service.job import Job, Service, Update
from castalia.serve.service.local import LocalService
from castalia.serve.service.pieces import Acted, Done, Seen, Words
from castalia.serve.service.usage import Usage as Spent
from castalia.training.pretrain import pretrain

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FIELD = ".ask textarea >> visible=true"
MARKS = (
    ("mark", '[[1.5, 1.5], "a"]'),
    ("mark", '[[1.5, 4.5], "b"]'),
    ("relate", '["a", "left of", "b"]'),
    ("draw", '[[[1.5, 1.5], [1.5, 4.5]], null, "red"]'),
)
AGENTS = ("seven", "Seven.", "eight", "-")


class Scripted:
    """Thinks aloud and acts as its script says; "forever" it writes until nobody listens; agents conclude `AGENTS`."""

    models = ("scripted",)
    agents = AGENTS

    def __init__(self) -> None:
        self.prompts: list[Document] = []
        self.left = 0
        """How many were stopped while they wrote."""

    @property
    def gauges(self) -> dict[str, tuple[str, Callable[[], float]]]:
        """Tell nothing."""
        return {}

    async def updates(self, job: Job) -> AsyncGenerator[list[Update]]:
        """Follow the script."""
        self.prompts.append(job.prompt)
        writing = self._agents(job) if job.contemplate else self._one(job)
        try:
            async for update in writing:
                yield [update]
                await asyncio.sleep(0.02)
        except (asyncio.CancelledError, GeneratorExit):
            self.left += 1
            raise

    async def _one(self, job: Job) -> AsyncGenerator[Update]:
        if "forever" in job.prompt.text():
            while True:
                yield Update(0, Words("thought", "on and on "))
        if job.effort != "none":
            for number in range(30):
                yield Update(0, Words("thought", f" word{number}"))
        session = Session({action.name: action for action in CANVAS}, State.of(job.prompt))
        for number, (name, arguments) in enumerate(MARKS if session.state.canvases else ()):
            call = Call(name, arguments)
            yield Update(0, Acted(call, number, thought=True))
            seen = session.act(call)
            assert isinstance(seen, Document)
            yield Update(0, Seen(seen))
        yield Update(0, Words("answer", "seven"))
        yield Update(0, Done("end", "seven", Spent(prompt=9, completion=31, reasoning=30)))

    async def _agents(self, job: Job) -> AsyncGenerator[Update]:
        for number in range(10):
            for agent in range(len(AGENTS)):
                yield Update(0, Words("thought", f" step{number}"), agent)
        for agent, said in enumerate(AGENTS):
            yield Update(0, Words("answer", said), agent)
            yield Update(0, Done("end", said, Spent(completion=11, reasoning=10)), agent)
        yield Update(0, Words("answer", "seven"), 0, 1)
        yield Update(0, Done("end", "seven", Spent(completion=1)), 0, 1)
        yield Update(0, Words("answer", "seven"))
        yield Update(0, Done("end", "seven", Spent(completion=45, reasoning=40)))

    async def count(self, job: Job) -> int:
        """Count nothing."""
        return 0

    @property
    def is_alive(self) -> bool:
        """It always is."""
        return True

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Running:
    """A server that runs: where, and what it is made of."""

    address: str
    house: House

    def usages(self) -> list[Usage]:
        """Return what was recorded."""
        self.house.database.flush()
        with self.house.database.session() as session:
            return list(session.query(Usage))

    def until(self, holds: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it has not come true"
            time.sleep(0.02)


@pytest.fixture(scope="session")
def start_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
    """Return a function that starts a server with the page on a free port."""
    servers: list[uvicorn.Server] = []

    def run(service: Service, run: Path | None, *, is_open: bool = True) -> Running:
        database = open_database(f"sqlite:///{tmp_path_factory.mktemp('page') / 'castalia.db'}")
        house = House(service, Gate(database, is_open), database, is_local=is_open)
        config = uvicorn.Config(build_app(house, page=True, run=run), port=0, log_level="error")
        server = uvicorn.Server(config)
        threading.Thread(target=server.run, daemon=True).start()
        servers.append(server)
        while not server.started:
            time.sleep(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        return Running(f"http://127.0.0.1:{port}", house)

    yield run
    for server in servers:
        server.should_exit = True


@pytest.fixture(scope="session")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a run of a few steps called ``tiny``."""
    directory = tmp_path_factory.mktemp("runs")
    small = {"model.width": "32", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    data = {"data.mixture": "charts:1,countdown:1", "training.steps": "3", "feed.length": "256"}
    pretrain(load_recipe("pocket").override(small | data), directory / "tiny")
    return directory


@pytest.fixture(scope="session")
def real(start_page: Callable[..., Running], runs: Path) -> Running:
    """Return a server with the tiny model."""
    return start_page(LocalService.load(runs / "tiny", "tiny"), runs / "tiny")


@pytest.fixture(scope="session")
def scripted(start_page: Callable[..., Running], runs: Path) -> Running:
    """Return a server whose answers keep to the script."""
    return start_page(Scripted(), runs / "tiny")


@pytest.fixture(scope="session")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a picture: two bars."""
    drawn = pillow.new("RGB", (96, 80), "white")
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((16, 40, 31, 79), "red")
    pen.rectangle((64, 10, 79, 79), "blue")
    path = tmp_path_factory.mktemp("pictures") / "bars.png"
    drawn.save(path)
    return path


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Return a headless Chromium whose microphone hears a tone."""
    playwright = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed (apt-get install chromium)")
    heard = tmp_path_factory.mktemp("sound") / "tone.wav"
    with wave.open(str(heard), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16_000)
        tone = 0.3 * np.sin(2 * np.pi * 440 * np.arange(16_000) / 16_000)
        file.writeframes((tone * 32767).astype("<i2").tobytes())
    microphone = [
        "--use-fake-device-for-media-stream",
        "--use-fake-ui-for-media-stream",
        f"--use-file-for-fake-audio-capture={heard}",
    ]
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", *microphone])
        yield chromium
        chromium.close()


@dataclass
class Visitor:
    """Somebody with a browser; what the pages complained of and asked others for is kept."""

    browser: Any
    contexts: dict[tuple[int, int, bool], Any] = field(default_factory=dict)
    """By size and darkness: whoever comes again has kept what was loaded before."""
    pages: list[Any] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)

    def open(self, running: Running, *, width: int = 1280, height: int = 900, dark: bool = False) -> Any:
        """Open the page and wait until it can be used."""
        looks = (width, height, dark)
        if looks not in self.contexts:
            scheme = "dark" if dark else "light"
            size = {"width": width, "height": height}
            self.contexts[looks] = self.browser.new_context(viewport=size, color_scheme=scheme)
        page = self.contexts[looks].new_page()
        self.pages.append(page)
        page.set_default_timeout(20_000)
        page.on("request", self._note_request)
        page.on("console", lambda said: self.complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.goto(running.address)
        page.wait_for_selector(FIELD)
        return page

    def _note_request(self, request: Any) -> None:
        if not request.url.startswith(("http://127.0.0.1:", "data:", "blob:")):
            self.complaints.append(f"a request for {request.url}")

    def ask(self, page: Any, question: str, *, number: int = 1, whole: bool = True) -> None:
        """Ask by keyboard; wait until the whole answer is there."""
        page.fill(FIELD, question)
        page.press(FIELD, "Enter")
        if whole:
            page.wait_for_selector(f".talk > .turn:nth-child({number}).done")

    def attach(self, page: Any, path: Path) -> None:
        """Add a file to the question."""
        page.set_input_files(".ask input[type=file] >> nth=0", str(path))
        page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")

    def is_too_wide(self, page: Any) -> bool:
        """Say whether a page must be moved sideways to be read."""
        return page.evaluate("document.documentElement.scrollWidth > innerWidth")


@pytest.fixture(scope="session")
def somebody(browser: Any) -> Visitor:
    """Return somebody with a browser."""
    return Visitor(browser)


@pytest.fixture
def visitor(somebody: Visitor) -> Iterator[Visitor]:
    """Return somebody with a browser. No page may complain, or ask for anything that is not on this machine."""
    yield somebody
    for page in somebody.pages:
        page.close()
    complaints, somebody.complaints, somebody.pages = somebody.complaints, [], []
    assert complaints == []
