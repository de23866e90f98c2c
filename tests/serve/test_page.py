"""The page in a real browser: on a real server, with a tiny model, and with a service that keeps to a script."""

import asyncio
import json
import shutil
import threading
import time
import wave
from collections.abc import AsyncGenerator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import uvicorn
from PIL import Image as pillow
from PIL import ImageDraw

from castalia.actions.action import Session, State
from castalia.actions.canvas import CANVAS
from castalia.assistant import as_prompt
from castalia.data.messages import parse_messages
from castalia.document import Call, Document, Image, Speech
from castalia.recipes import load_recipe
from castalia.serve.access import Gate, create_key
from castalia.serve.answering import House
from castalia.serve.app import build_app
from castalia.serve.database import Feedback, Usage, open_database
from castalia.serve.local import LocalService
from castalia.serve.page.curves import curves_html
from castalia.serve.page.lanes import conclusions
from castalia.serve.page.relations import scene_graph
from castalia.serve.page.samples import sample_questions
from castalia.serve.server import local_service
from castalia.serve.service import Choice, Job, Service, Update
from castalia.serve.transcript import Acted, Done, Piece, Seen, Words
from castalia.serve.transcript import Usage as Spent
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

    def close(self) -> None:
        """Do nothing."""


@dataclass
class Running:
    """A server that runs: where, and what it is made of."""

    address: str
    house: House

    def usages(self) -> list[Usage]:
        """Return what was recorded."""
        with self.house.database.session() as session:
            return list(session.query(Usage))

    def until(self, holds: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something holds."""
        end = time.monotonic() + seconds
        while not holds():
            assert time.monotonic() < end, "it has not come true"
            time.sleep(0.02)


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Running]]:
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


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a directory with a run of a few steps called ``tiny``."""
    directory = tmp_path_factory.mktemp("runs")
    small = {"model.width": "32", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    data = {"data.mixture": "charts:1,countdown:1", "training.steps": "3", "feed.length": "256"}
    pretrain(load_recipe("pocket").override(small | data), directory / "tiny")
    return directory


@pytest.fixture(scope="module")
def real(start: Callable[..., Running], runs: Path) -> Running:
    """Return a server with the tiny model."""
    return start(local_service(runs / "tiny"), runs / "tiny")


@pytest.fixture(scope="module")
def scripted(start: Callable[..., Running], runs: Path) -> Running:
    """Return a server whose answers keep to the script."""
    return start(Scripted(), runs / "tiny")


@pytest.fixture(scope="module")
def picture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a picture: two bars."""
    drawn = pillow.new("RGB", (96, 80), "white")
    pen = ImageDraw.Draw(drawn)
    pen.rectangle((16, 40, 31, 79), "red")
    pen.rectangle((64, 10, 79, 79), "blue")
    path = tmp_path_factory.mktemp("pictures") / "bars.png"
    drawn.save(path)
    return path


@pytest.fixture(scope="module")
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


@pytest.fixture(scope="module")
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


def ask(page: Any, question: str, *, number: int = 1, whole: bool = True) -> None:
    """Ask by keyboard; wait until the whole answer is there."""
    page.fill(FIELD, question)
    page.press(FIELD, "Enter")
    if whole:
        page.wait_for_selector(f".talk > .turn:nth-child({number}).done")


def attach(page: Any, path: Path) -> None:
    """Add a file to the question."""
    page.set_input_files(".ask input[type=file] >> nth=0", str(path))
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")


def is_too_wide(page: Any) -> bool:
    return page.evaluate("document.documentElement.scrollWidth > innerWidth")


def test_a_picture_is_asked_about_and_the_next_question_follows_on(
    visitor: Visitor, scripted: Running, picture: Path
) -> None:
    page = visitor.open(scripted)
    attach(page, picture)
    ask(page, "Which is taller?")
    assert page.locator(".question img").count() == 1
    assert page.inner_text(".answer") == "seven"
    assert page.input_value(FIELD) == ""
    assert page.title() == "Castalia"
    ask(page, "And why?", number=2)
    service = scripted.house.service
    assert isinstance(service, Scripted)
    first, second = service.prompts[-2:]
    assert [type(part.content) for part in first] == [Image, str]
    assert second.text().startswith("Which is taller?") and second.text().endswith("seven And why?")
    assert sum(part.thought for part in second) > 1, "thoughts and calls go along"
    scripted.until(lambda: [row.status for row in scripted.usages()[-2:]] == [200, 200])
    assert scripted.usages()[-1].completion_tokens == 31
    page.click("text=New conversation")
    page.wait_for_selector(".welcome")
    ask(page, "Anew?")
    assert service.prompts[-1].text() == "Anew?"


def test_a_model_answers_a_pasted_picture_a_sample_and_a_voice(visitor: Visitor, real: Running, picture: Path) -> None:
    page = visitor.open(real)
    data = list(picture.read_bytes())
    page.eval_on_selector(
        ".ask textarea",
        """(field, data) => {
            const held = new DataTransfer();
            held.items.add(new File([new Uint8Array(data)], "pasted.png", { type: "image/png" }));
            field.dispatchEvent(new ClipboardEvent("paste", { clipboardData: held, bubbles: true, cancelable: true }));
        }""",
        data,
    )
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")
    ask(page, "Which is taller?")
    page.click(".samples summary")
    page.click("[data-sample='0']")
    page.wait_for_selector(".talk > .turn:nth-child(2).done")
    assert page.locator(".turn:nth-child(2) .question img").count() == 1

    page.click("[aria-label='Record audio'] >> visible=true")
    page.click("[aria-label='Start recording']")
    page.wait_for_timeout(700)
    page.click("[aria-label='Stop recording']")
    page.click("[aria-label='Attach audio']")
    page.wait_for_selector(".ask .thumbnail-item")
    page.press(FIELD, "Enter")
    page.wait_for_selector(".talk > .turn:nth-child(3).done")
    assert page.get_attribute(".question audio", "src").startswith("data:audio/")
    real.until(lambda: [row.status for row in real.usages()] == [200, 200, 200])
    assert all(row.prompt_tokens and row.completion_tokens for row in real.usages())


def test_what_is_drawn_by_keyboard_becomes_a_picture_of_the_question(visitor: Visitor, scripted: Running) -> None:
    page = visitor.open(scripted)
    page.click("summary:has-text('Draw') >> visible=true")
    page.focus("canvas")
    for key in (" ", *["ArrowRight"] * 8, *["ArrowDown"] * 8, " "):
        page.keyboard.press(key)
    page.click("[data-pad=use]")
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")
    ask(page, "Which digit is this?")
    service = scripted.house.service
    assert isinstance(service, Scripted)
    drawn = service.prompts[-1].parts[0].content
    assert isinstance(drawn, Image) and drawn.pixels_HWC.shape == (32, 32, 3)
    assert drawn.pixels_HWC.min() < 64 < 200 < drawn.pixels_HWC.max()


def test_thoughts_unfold_in_order_and_stay_folded_for_who_folds_them(
    visitor: Visitor, scripted: Running, picture: Path
) -> None:
    page = visitor.open(scripted)
    attach(page, picture)
    ask(page, "Look", whole=False)
    seen = set()
    while page.locator(".turn.done").count() == 0:
        if page.locator(".turn.running .words").count():
            seen.add(page.inner_text(".words"))
        page.wait_for_timeout(20)
    assert len(seen) > 2, "words came little by little"
    order = page.eval_on_selector_all(".trail > *", "all => all.map(one => one.innerText.trim().split(/[\\s]/)[0])")
    assert order == ["word0", "mark", "mark", "relate", "draw", "Relations"]
    assert page.locator(".deed img").count() == 3
    assert page.get_attribute(".graph svg", "aria-label") == "a left of b"
    page.click(".deed .picture >> nth=0")
    assert page.get_attribute(".deed .picture >> nth=0", "aria-expanded") == "true"

    page.fill(FIELD, "Look again")
    page.press(FIELD, "Enter")
    page.wait_for_selector(".turn:nth-child(2) .words")
    page.click(".turn:nth-child(2) .thoughts > summary")
    page.wait_for_selector(".turn:nth-child(2).done")
    assert page.get_attribute(".turn:nth-child(2) .thoughts", "open") is None
    assert page.inner_text(".teller") == "seven", "what is read aloud"


def test_agents_write_in_lanes_and_who_contributed_what_is_said(visitor: Visitor, scripted: Running) -> None:
    page = visitor.open(scripted)
    page.click("label:has-text('4') >> nth=0")
    page.wait_for_selector(".deadline >> visible=true")
    ask(page, "Think about it", whole=False)
    page.wait_for_selector(".turn.running .lane .words")
    assert page.locator(".turn.running .lane").count() == 4
    page.wait_for_selector(".turn.done")
    heights = page.eval_on_selector_all(
        ".lanes:not(.synthesis) .lane", "all => all.map(one => one.getBoundingClientRect().top)"
    )
    assert len(set(heights)) == 1, "side by side"
    assert page.locator(".lane .tick").count() == 3 + 1
    assert "nothing found" in page.inner_text(".lane:nth-child(4)")
    tally = [" ".join(text.split()) for text in page.locator(".tally li").all_inner_texts()]
    assert tally == ["seven ✓ 2 of 4 agents 1, 2", "eight 1 of 4 agent 3"]
    assert "seven" in page.inner_text(".synthesis")
    assert "4 agents · 45 tokens (40 in thought)" in page.inner_text(".cost")


def test_a_models_agents_have_lanes_and_are_stopped_in_the_engine(visitor: Visitor, real: Running) -> None:
    assert isinstance(real.house.service, LocalService)
    engine = real.house.service.shared.engine
    page = visitor.open(real)
    page.click("label:has-text('high') >> nth=0")
    page.click("label:has-text('16') >> nth=0")
    ask(page, "Make 10 from 2, 5.", whole=False)
    page.wait_for_selector(".lane >> nth=15")
    page.keyboard.press("Escape")
    page.wait_for_selector(".turn.stopped")
    real.until(lambda: engine.idle)
    real.until(lambda: real.usages()[-1].status == 499)
    page.click("label:has-text('one chain') >> nth=0")
    page.click("label:has-text('low') >> nth=0")
    ask(page, "Make 10 from 2, 5.", number=2)


def test_whoever_stops_or_leaves_is_no_longer_worked_for(visitor: Visitor, scripted: Running) -> None:
    service, metrics = scripted.house.service, scripted.house.metrics
    assert isinstance(service, Scripted)
    before = service.left
    page = visitor.open(scripted)
    ask(page, "forever", whole=False)
    page.wait_for_selector(".turn.running .words")
    page.click(".ask .stop-button >> visible=true")
    page.wait_for_selector(".turn.stopped")
    assert "on and on" in page.inner_text(".words")
    scripted.until(lambda: service.left == before + 1)
    ask(page, "forever", whole=False)
    page.wait_for_selector(".turn:nth-child(2).running .words")
    page.close()
    scripted.until(lambda: service.left == before + 2)
    scripted.until(lambda: b"castalia_active_requests 0.0" in metrics.text())


def test_feedback_is_stored_with_the_conversation_and_that_is_said(
    visitor: Visitor, scripted: Running, picture: Path
) -> None:
    database = scripted.house.database
    page = visitor.open(scripted)
    attach(page, picture)
    ask(page, "Which is taller?")
    page.click("[aria-label='Bad answer']")
    page.wait_for_selector(".note:has-text('Stored as a bad answer')")
    assert page.get_attribute("[aria-label='Bad answer']", "aria-pressed") == "true"
    page.click("summary:has-text('Correct it')")
    page.fill("textarea[name=text]", "<b>the blue one</b>")
    page.click("text=Store the correction")
    page.wait_for_selector(".note:has-text('The correction is stored')")
    correction, down = database.newest(Feedback, None)[:2]
    assert (correction.kind, correction.text, down.kind) == ("correction", "<b>the blue one</b>", "down")
    document = parse_messages(correction.conversation)
    assert [part.author for part in document] == ["user", "user", "assistant", "assistant"]
    assert isinstance(document.parts[0].content, Image)
    assert document.parts[2].thought and document.parts[3].content == "seven"


def test_all_can_be_done_by_keyboard(visitor: Visitor, scripted: Running) -> None:
    page = visitor.open(scripted)

    def tab_to(selector: str) -> None:
        for _ in range(60):
            page.keyboard.press("Tab")
            if page.evaluate("selector => document.activeElement.matches(selector)", selector):
                break
        assert page.evaluate("selector => document.activeElement.matches(selector)", selector), selector
        assert (
            page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none" or "textarea" in selector
        )

    tab_to("[data-sample='1']")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.done")
    tab_to("textarea:not([name=text])")
    page.keyboard.type("How many?")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn:nth-child(2).done")
    page.evaluate("document.activeElement.blur()")
    tab_to(".turn:nth-child(2) [data-kind=up]")
    page.keyboard.press("Space")
    page.wait_for_selector(".turn:nth-child(2) .note:has-text('good answer')")
    unnamed = page.evaluate(
        """[...document.querySelectorAll("button, input, textarea, select, canvas")].filter((one) =>
            one.offsetParent && !(one.ariaLabel || one.textContent.trim() || one.labels?.length || one.alt)
        ).map((one) => one.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_fits_a_phone_in_light_and_dark(visitor: Visitor, scripted: Running, picture: Path, dark: bool) -> None:
    page = visitor.open(scripted, width=390, height=844, dark=dark)
    assert not is_too_wide(page)
    attach(page, picture)
    ask(page, "Which is taller?")
    page.click("label:has-text('4') >> nth=0")
    ask(page, "Think about it, please, with a word as long as this one: " + "m" * 80, number=2)
    tops = page.eval_on_selector_all(".lanes .lane", "all => all.map(one => one.getBoundingClientRect().top)")
    assert len(set(tops)) == len(tops), "lanes stand below each other"
    assert not is_too_wide(page)
    for name in ("Side by side", "Curves"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(200)
        assert not is_too_wide(page), name
    colours = page.evaluate(
        """[["gradio-app", "backgroundColor"], [".top h1", "color"]].map(
            ([where, what]) => getComputedStyle(document.querySelector(where))[what].match(/[\\d.]+/g).map(Number))"""
    )
    paper, ink = (sum(colour[:3]) / 3 for colour in colours)
    assert (paper < 60 and ink > 200) if dark else (paper > 240 and ink < 60)


def test_one_question_at_several_efforts_stands_in_columns(visitor: Visitor, scripted: Running) -> None:
    page = visitor.open(scripted)
    page.get_by_role("tab", name="Side by side").click()
    page.click("label:has-text('low') >> visible=true")
    page.fill(FIELD, "Which?")
    page.press(FIELD, "Enter")
    page.wait_for_function("document.querySelectorAll('.columns .done').length === 4")
    assert page.locator(".columns header").all_inner_texts() == ["none", "low", "medium", "high"]
    costs = page.locator(".columns .cost").all_inner_texts()
    assert all("31 tokens" in cost and cost.endswith(" s") for cost in costs)
    tops = page.eval_on_selector_all(".columns > section", "all => all.map(one => one.getBoundingClientRect().top)")
    assert len(set(tops)) == 1


def test_curves_of_a_run_are_drawn_while_it_trains(visitor: Visitor, scripted: Running, runs: Path) -> None:
    run = runs / "growing"
    run.mkdir()
    lines = [{"step": n, "positions": 100 * n, "loss": 5 / n, "accuracy": n / 50} for n in range(1, 6)]
    (run / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    page = visitor.open(scripted)
    page.get_by_role("tab", name="Curves").click()
    page.wait_for_selector("text=at rest")
    page.click("[aria-label='Run']")
    page.click("[role=option]:has-text('growing')")
    page.wait_for_selector(".curve:has-text('Accuracy')")
    assert "training now" in page.inner_text(".facts")
    page.focus(".curve svg >> nth=0")
    page.keyboard.press("ArrowLeft")
    assert "4 steps: training 1.25" in page.inner_text(".curve output >> nth=0")
    forecast = {"curve": {"positions": [200, 500], "loss": [2.6, 1.1], "low": [2.4, 0.9], "high": [2.8, 1.3]}}
    (run / "forecast.json").write_text(json.dumps(forecast))
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "positions": 600, "loss": 0.8}) + "\n")
    page.wait_for_selector(".curve:has-text('forecast and measured') .band")
    assert page.inner_text(".facts dd >> nth=0") == "6"


def test_where_keys_are_needed_nothing_is_done_without_one(
    visitor: Visitor, start: Callable[..., Running], picture: Path
) -> None:
    running = start(Scripted(), None, is_open=False)
    issued = create_key(running.house.database, "anna")
    page = visitor.open(running)
    ask(page, "Which?", whole=False)
    page.wait_for_selector(".turn.failed .error")
    assert "this server needs a key" in page.inner_text(".error")
    upload = f"{running.address}/gradio_api/upload"
    assert httpx.post(upload, files={"files": picture.read_bytes()}).status_code == 401
    cookies = {"castalia_key": issued.secret}
    assert httpx.post(upload, files={"files": picture.read_bytes()}, cookies=cookies).status_code == 200
    page.fill("input[type=password]", issued.secret)
    page.press("input[type=password]", "Tab")
    attach(page, picture)
    ask(page, "Which?", number=2)
    running.until(lambda: len(running.usages()) == 1)
    assert running.usages()[0].key_id == issued.row.id
    page.click("[aria-label='Good answer']")
    page.wait_for_selector(".note:has-text('good answer')")
    assert len(running.house.database.newest(Feedback, issued.row.id)) == 1


def test_what_cannot_be_read_or_is_no_deadline_is_said_in_a_sentence(
    visitor: Visitor, scripted: Running, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page = visitor.open(scripted)
    page.set_input_files(".ask input[type=file] >> nth=0", str(tmp_path / "broken.png"))
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")
    ask(page, "Which?", whole=False)
    page.wait_for_selector(".turn.failed .error")
    assert "broken.png" in page.inner_text(".error")
    page.click("label:has-text('4') >> nth=0")
    page.fill(".deadline :is(input, textarea)", "soon")
    page.click("[data-sample='0'] >> visible=true")
    page.wait_for_selector(".turn:nth-child(2).failed .error")
    assert "the deadline 'soon': seconds above 0" in page.inner_text(".turn:nth-child(2) .error")


def test_the_page_leaves_the_api_its_paths_and_lets_nothing_in_from_elsewhere(scripted: Running) -> None:
    with httpx.Client(base_url=scripted.address) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert "there is nothing at /v1/nothing" in client.get("/v1/nothing").json()["error"]["message"]
        assert client.get("/v1/chat/completions").status_code == 405
        page = client.get("/")
        assert page.status_code == 200 and 'content="Castalia"' in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert client.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}


def test_relations_are_those_that_the_canvas_takes() -> None:
    calls = [
        Call("mark", '[[1, 2], "a"]'),
        Call("mark", '{"at": [3, 4, 1, 1], "label": "b"}'),
        Call("relate", '["a", "above", "b"]'),
        Call("relate", '["a", "above", "c"]'),
        Call("relate", '["a", "beside", "b"]'),
        Call("mark", "not JSON"),
        Call("erase", "[]"),
        Call("relate", '["b", "below", "a"]'),
    ]
    state = State.of(Document(as_prompt("?", image=np.full((96, 96, 3), 255, np.uint8)).parts))
    session = Session({action.name: action for action in CANVAS}, state)
    for call in calls:
        session.act(call)
    trail: list[Piece] = [Acted(call, number, thought=True) for number, call in enumerate(calls)]
    graph = scene_graph(trail)
    assert graph.edges == state.relations == [("a", "above", "b")]
    assert graph.nodes == {"a": (2, 1), "b": (4.5, 3.5)}


def test_conclusions_are_counted_as_votes_are() -> None:
    def lane(answer: str, stopped: str = "end") -> Choice:
        choice = Choice()
        choice.add(Words("answer", answer))
        choice.add(Done(stopped, answer, Spent()))
        return choice

    lanes = {0: lane("Nine"), 1: lane("ten"), 2: lane("nine."), 3: lane("-"), 4: lane("nine", "length"), 5: Choice()}
    found = [(one.text, one.agents, one.chosen) for one in conclusions(lanes, "ten")]
    assert found == [("Nine", (1, 3), False), ("ten", (2,), True)]


@pytest.mark.parametrize("forecast", ["", "[]", '{"curve": 1}', '{"curve": {"positions": [1], "loss": ["x"]}}'])
def test_a_forecast_of_another_shape_is_not_drawn(tmp_path: Path, forecast: str) -> None:
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps({"step": n, "loss": 1 / n}) + "\n" for n in (1, 2)))
    (tmp_path / "forecast.json").write_text(forecast)
    drawn = curves_html(tmp_path)
    assert "Loss" in drawn and "forecast" not in drawn


def test_samples_are_of_what_was_learned() -> None:
    samples = sample_questions(("charts", "mazes", "countdown", "nothing"))
    pictured = [any(isinstance(a.content, Image) for a in sample.attachments) for sample in samples]
    assert pictured.count(True) == 4 and pictured.count(False) == 1
    assert not any(isinstance(a.content, Speech) for sample in samples for a in sample.attachments)
