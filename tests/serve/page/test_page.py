"""The page in a real browser."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from castalia.data.messages import parse_messages
from castalia.document import Image
from castalia.forecast.forecast import Expectation, Forecast, write_forecasts
from castalia.serve.access import create_key
from castalia.serve.database import Feedback
from castalia.serve.service.local import LocalService

FIELD = ".ask textarea >> visible=true"


def test_a_picture_is_asked_about_and_the_next_question_follows_on(visitor: Any, scripted: Any, picture: Path) -> None:
    page = visitor.open(scripted)
    visitor.attach(page, picture)
    visitor.ask(page, "Which is taller?")
    assert page.locator(".question img").count() == 1
    assert page.inner_text(".answer") == "seven"
    assert page.input_value(FIELD) == ""
    assert page.title() == "Castalia"
    visitor.ask(page, "And why?", number=2)
    service = scripted.house.service
    first, second = service.prompts[-2:]
    assert [type(part.content) for part in first] == [Image, str]
    assert second.text().startswith("Which is taller?") and second.text().endswith("seven And why?")
    assert sum(part.thought for part in second) > 1, "thoughts and calls go along"
    scripted.until(lambda: [row.status for row in scripted.usages()[-2:]] == [200, 200])
    assert scripted.usages()[-1].completion_tokens == 31
    page.click("text=New conversation")
    page.wait_for_selector(".welcome")
    visitor.ask(page, "Anew?")
    assert service.prompts[-1].text() == "Anew?"


def test_a_model_answers_a_pasted_picture_a_sample_and_a_voice(visitor: Any, real: Any, picture: Path) -> None:
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
    visitor.ask(page, "Which is taller?")
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


def test_what_is_drawn_by_keyboard_becomes_a_picture_of_the_question(visitor: Any, scripted: Any) -> None:
    page = visitor.open(scripted)
    page.click("summary:has-text('Draw') >> visible=true")
    page.focus("canvas")
    for key in (" ", *["ArrowRight"] * 8, *["ArrowDown"] * 8, " "):
        page.keyboard.press(key)
    page.click("[data-pad=use]")
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")
    visitor.ask(page, "Which digit is this?")
    service = scripted.house.service
    drawn = service.prompts[-1].parts[0].content
    assert isinstance(drawn, Image) and drawn.pixels_HWC.shape == (32, 32, 3)
    assert drawn.pixels_HWC.min() < 64 < 200 < drawn.pixels_HWC.max()


def test_thoughts_unfold_in_order_and_stay_folded_for_who_folds_them(
    visitor: Any, scripted: Any, picture: Path
) -> None:
    page = visitor.open(scripted)
    visitor.attach(page, picture)
    visitor.ask(page, "Look", whole=False)
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


def test_agents_write_in_lanes_and_who_contributed_what_is_said(visitor: Any, scripted: Any) -> None:
    page = visitor.open(scripted)
    page.click("label:has-text('4') >> nth=0")
    page.wait_for_selector(".deadline >> visible=true")
    visitor.ask(page, "Think about it", whole=False)
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


def test_a_models_agents_have_lanes_and_are_stopped_in_the_engine(visitor: Any, real: Any) -> None:
    assert isinstance(real.house.service, LocalService)
    engine = real.house.service.shared.engine
    page = visitor.open(real)
    page.click("label:has-text('high') >> nth=0")
    page.click("label:has-text('16') >> nth=0")
    visitor.ask(page, "Make 10 from 2, 5.", whole=False)
    page.wait_for_selector(".lane >> nth=15")
    page.keyboard.press("Escape")
    page.wait_for_selector(".turn.stopped")
    real.until(lambda: engine.idle)
    real.until(lambda: real.usages()[-1].status == 499)
    page.click("label:has-text('one chain') >> nth=0")
    page.click("label:has-text('low') >> nth=0")
    visitor.ask(page, "Make 10 from 2, 5.", number=2)


def test_whoever_stops_or_leaves_is_no_longer_worked_for(visitor: Any, scripted: Any) -> None:
    service, metrics = scripted.house.service, scripted.house.metrics
    before = service.left
    page = visitor.open(scripted)
    visitor.ask(page, "forever", whole=False)
    page.wait_for_selector(".turn.running .words")
    page.click(".ask .stop-button >> visible=true")
    page.wait_for_selector(".turn.stopped")
    assert "on and on" in page.inner_text(".words")
    scripted.until(lambda: service.left == before + 1)
    visitor.ask(page, "forever", whole=False)
    page.wait_for_selector(".turn:nth-child(2).running .words")
    page.close()
    scripted.until(lambda: service.left == before + 2)
    scripted.until(lambda: b"castalia_active_requests 0.0" in metrics.text())


def test_feedback_is_stored_with_the_conversation_and_that_is_said(visitor: Any, scripted: Any, picture: Path) -> None:
    database = scripted.house.database
    page = visitor.open(scripted)
    visitor.attach(page, picture)
    visitor.ask(page, "Which is taller?")
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


def test_all_can_be_done_by_keyboard(visitor: Any, scripted: Any) -> None:
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
def test_it_fits_a_phone_in_light_and_dark(visitor: Any, scripted: Any, picture: Path, dark: bool) -> None:
    page = visitor.open(scripted, width=390, height=844, dark=dark)
    assert not visitor.is_too_wide(page)
    visitor.attach(page, picture)
    visitor.ask(page, "Which is taller?")
    page.click("label:has-text('4') >> nth=0")
    visitor.ask(page, "Think about it, please, with a word as long as this one: " + "m" * 80, number=2)
    tops = page.eval_on_selector_all(".lanes .lane", "all => all.map(one => one.getBoundingClientRect().top)")
    assert len(set(tops)) == len(tops), "lanes stand below each other"
    assert not visitor.is_too_wide(page)
    for name in ("Side by side", "Curves"):
        page.get_by_role("tab", name=name).click()
        page.wait_for_timeout(200)
        assert not visitor.is_too_wide(page), name
    colours = page.evaluate(
        """[["gradio-app", "backgroundColor"], [".top h1", "color"]].map(
            ([where, what]) => getComputedStyle(document.querySelector(where))[what].match(/[\\d.]+/g).map(Number))"""
    )
    paper, ink = (sum(colour[:3]) / 3 for colour in colours)
    assert (paper < 60 and ink > 200) if dark else (paper > 240 and ink < 60)


def test_one_question_at_several_efforts_stands_in_columns(visitor: Any, scripted: Any) -> None:
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


def test_curves_of_a_run_are_drawn_while_it_trains(visitor: Any, scripted: Any, runs: Path) -> None:
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
    ends = tuple(Expectation(x, y, y - 0.2, y + 0.2) for x, y in ((2e9, 2.6), (5e9, 1.1)))
    forecast = Forecast("loss", "FLOPs", "E + A/C^α", {}, 1.0, ((1e9, 4.0), (2e9, 2.6)), ends[1:], ends)
    write_forecasts(run / "forecast.json", [forecast])
    with (run / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 6, "positions": 600, "loss": 0.8}) + "\n")
    page.wait_for_selector(".curve:has-text('forecast') .band")
    assert page.inner_text(".facts dd >> nth=0") == "6"


def test_where_keys_are_needed_nothing_is_done_without_one(
    visitor: Any, start_page: Callable[..., Any], scripted: Any, picture: Path
) -> None:
    running = start_page(type(scripted.house.service)(), None, is_open=False)
    issued = create_key(running.house.database, "anna")
    page = visitor.open(running)
    visitor.ask(page, "Which?", whole=False)
    page.wait_for_selector(".turn.failed .error")
    assert "this server needs a key" in page.inner_text(".error")
    upload = f"{running.address}/gradio_api/upload"
    assert httpx.post(upload, files={"files": picture.read_bytes()}).status_code == 401
    cookies = {"castalia_key": issued.secret}
    assert httpx.post(upload, files={"files": picture.read_bytes()}, cookies=cookies).status_code == 200
    page.fill("input[type=password]", issued.secret)
    page.press("input[type=password]", "Tab")
    visitor.attach(page, picture)
    visitor.ask(page, "Which?", number=2)
    running.until(lambda: len(running.usages()) == 1)
    assert running.usages()[0].key_id == issued.row.id
    page.click("[aria-label='Good answer']")
    page.wait_for_selector(".note:has-text('good answer')")
    assert len(running.house.database.newest(Feedback, issued.row.id)) == 1


def test_what_cannot_be_read_or_is_no_deadline_is_said_in_a_sentence(
    visitor: Any, scripted: Any, tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(b"no picture")
    page = visitor.open(scripted)
    page.set_input_files(".ask input[type=file] >> nth=0", str(tmp_path / "broken.png"))
    page.wait_for_selector(".ask .thumbnail-item, .ask .thumbnail-image")
    visitor.ask(page, "Which?", whole=False)
    page.wait_for_selector(".turn.failed .error")
    assert "broken.png" in page.inner_text(".error")
    page.click("label:has-text('4') >> nth=0")
    page.fill(".deadline :is(input, textarea)", "soon")
    page.click("[data-sample='0'] >> visible=true")
    page.wait_for_selector(".turn:nth-child(2).failed .error")
    assert "the deadline 'soon': seconds above 0" in page.inner_text(".turn:nth-child(2) .error")


def test_the_page_leaves_the_api_its_paths_and_lets_nothing_in_from_elsewhere(scripted: Any) -> None:
    with httpx.Client(base_url=scripted.address) as client:
        assert client.get("/health").json()["status"] == "ok"
        assert "there is nothing at /v1/nothing" in client.get("/v1/nothing").json()["error"]["message"]
        assert client.get("/v1/chat/completions").status_code == 405
        page = client.get("/")
        assert page.status_code == 200 and 'content="Castalia"' in page.text
        assert "default-src 'self'" in page.headers["content-security-policy"]
        assert client.get("/gradio_api/info").json() == {"named_endpoints": {}, "unnamed_endpoints": {}}
