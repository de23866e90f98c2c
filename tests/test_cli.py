"""The command: what it says when something is wrong, what its help shows, and the main job at its smallest."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image as pillow
from PIL import ImageDraw

from castalia import cli, load
from castalia.data.catalog import build_task
from castalia.evals.learned import Learned
from castalia.training.run import load_state

REPOSITORY = Path(__file__).parents[1]
COMMANDS = [
    ["run"], ["pretrain"], ["rl"], ["eval"], ["exam"], ["publish"], ["forecast"], ["forecast", "check"],
    ["forecast", "multiplier"], ["plan"], ["ask"], ["chat"], ["serve"], ["keys", "create"], ["keys", "invite"],
    ["keys", "list"], ["keys", "revoke"], ["data", "fetch"], ["data", "ls"], ["data", "sample"], ["data", "build"],
    ["figures"],
]  # fmt: skip


@dataclass(frozen=True)
class Said:
    """What a command left: its exit status, what it printed, what it complained of."""

    status: int
    out: str
    err: str


def castalia(*arguments: str | Path) -> Said:
    """Run the command in a process of its own."""
    line = [sys.executable, "-m", "castalia", *map(str, arguments)]
    done = subprocess.run(line, capture_output=True, text=True, cwd=REPOSITORY)
    return Said(done.returncode, done.stdout, done.stderr)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Return a function that runs the command in this process: whatever is raised but SystemExit fails the test."""

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["castalia", *map(str, arguments)])
        status = 0
        try:
            cli.main()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        return Said(status, *capfd.readouterr())

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run of a few steps."""
    directory = tmp_path_factory.mktemp("cli") / "run"
    settings = "model.width=32 model.heads=2 model.layers=2 training.compile=false data.mixture=charts:1,countdown:1"
    said = castalia("pretrain", "pocket", "--steps", "3", "--out", directory, "--set", *settings.split())
    told = re.sub(r"step \d+ · loss [^\n]* left\n", "", said.err)  # how far it is, where training takes its time
    assert (said.status, told) == (0, "")
    return directory


@pytest.fixture
def drawn(tmp_path: Path) -> Path:
    """Return a picture drawn by hand: two bars."""
    picture = pillow.new("RGB", (120, 90), "white")
    pen = ImageDraw.Draw(picture)
    pen.rectangle((20, 40, 45, 85), "red")
    pen.rectangle((70, 10, 95, 85), "blue")
    picture.save(tmp_path / "bars.png")
    return tmp_path / "bars.png"


WRONG: dict[str, tuple[list[str], str]] = {
    "a recipe": (["pretrain", "poket"], "no recipe 'poket': did you mean 'pocket'?"),
    "a recipe of the main job": (["run", "poket"], "no recipe 'poket': did you mean 'pocket'?"),
    "a recipe file": (["pretrain", "none.py"], "no recipe file none.py"),
    "a field": (
        ["pretrain", "--set", "model.widht=3"],
        "no field 'model.widht' in a recipe: did you mean 'model.width'?",
    ),
    "a value": (["pretrain", "--set", "model.width=wide"], "model.width: expected int, got 'wide'"),
    "a setting without a value": (["pretrain", "--set", "model.width"], "--set expects FIELD=VALUE, got 'model.width'"),
    "a shape": (["pretrain", "--set", "model.heads=5"], "heads 5"),
    "a task to learn": (
        ["pretrain", "--out", "{tmp}/run", "--set", "data.mixture=mazs:1"],
        "unknown task 'mazs': did you mean 'mazes'?",
    ),
    "a medium": (["pretrain", "--out", "{tmp}/run", "--set", "data.media=smell:1", "data.mixture=sums:1"], "smell"),
    "no task to learn": (["pretrain", "--out", "{tmp}/run", "--set", "data.mixture="], "mixture"),
    "a difficulty to learn": (["pretrain", "--out", "{tmp}/run", "--set", "data.difficulties=11"], "difficulty 11"),
    "a run to examine": (["eval", "{tmp}/none"], "none is not a run: it is no directory"),
    "a run to sit an exam": (["exam", "{tmp}/none"], "none is not a run: it is no directory"),
    "a run without an exam to publish": (["publish", "{run}"], "has not sat an exam: castalia exam"),
    "a name for a model": (["publish", "{run}", "../up"], "is no name for a model"),
    "a part of an exam to record": (
        ["exam", "{run}", "--task", "charts", "--record"],
        "--record is for the whole exam",
    ),
    "too many questions": (["ask", "{run}", "Which", "one?"], "ask one question, in quotation marks"),
    "no question of an exam": (["exam", "{run}", "--n", "0"], "an exam asks 1 question or more, not 0"),
    "no question of an examination": (["eval", "{run}", "--n", "0"], "an examination asks 1 question or more, not 0"),
    "a task to examine": (["eval", "{run}", "--task", "mazs", "--n", "1"], "did you mean 'mazes'?"),
    "a difficulty": (["eval", "{run}", "--difficulty", "11", "--n", "1"], "difficulty 11 is outside 1 to 10"),
    "a split": (["eval", "{run}", "--split", "held-out", "--n", "1"], "did you mean 'held_out'?"),
    "a run to ask": (["ask", "{tmp}/none", "Which?"], "none is not a run: it is no directory"),
    "a temperature below zero": (["ask", "{run}", "Which?", "--temperature", "-1"], "is 0 or more, not -1.0"),
    "too many agents": (["ask", "{run}", "Which?", "--contemplate", "65"], "takes from 0 to 64 agents, not 65"),
    "no time": (["ask", "{run}", "Which?", "--seconds", "-1"], "an answer takes time: seconds above 0, not -1.0"),
    "no tokens": (["ask", "{run}", "Which?", "--max-tokens", "0"], "an answer takes tokens: 1 or more, not 0"),
    "fewer agents than none": (["chat", "{run}", "--contemplate", "-3"], "takes from 0 to 64 agents, not -3"),
    "no question": (["ask", "{run}"], "ask something: a question, --image or --speech"),
    "a missing picture": (["ask", "{run}", "Which?", "--image", "none.png"], "none.png cannot be read: No such file"),
    "a picture that is none": (["ask", "{run}", "--image", "{run}/recipe.json"], "recipe.json is not a picture"),
    "a missing sound": (["ask", "{run}", "--speech", "none.ogg"], "none.ogg cannot be read: No such file"),
    "a file of documents": (["data", "build", "none.jsonl"], "none.jsonl"),
    "a family to see": (["data", "sample", "chart"], "unknown task 'chart': did you mean 'charts'?"),
    "a split to see": (["data", "sample", "charts", "--split", "test"], "unknown split 'test': there are: held_out"),
    "a source": (["data", "fetch", "none"], "none"),
    "a run that was not forecast": (["forecast", "check", "{run}"], "has no forecast.json: castalia forecast RECIPE"),
    "a forecast of a run that has begun": (["forecast", "pocket", "--out", "{run}"], "has begun"),
    "a budget": (["forecast", "pocket", "--budget", "10"], "--budget expects a time as 90s, 10m or 1h, not '10'"),
    "sizes too far apart": (["forecast", "pocket", "--out", "{tmp}/x", "--apart", "inf"], "--apart is how many times"),
    "stretches": (["forecast", "pocket", "--out", "{tmp}/x", "--stretches", "2"], "--stretches are above 0, and 1"),
    "a recipe without parts": (["forecast", "multiplier", "--against", "pocket", "--parts"], "pocket has no PARTS"),
    "two budgets": (["plan", "--flops", "1e20", "--hours", "1"], "give one of --flops, --hours and"),
    "no budget": (["plan"], "give one of --flops, --hours and --target-accuracy"),
    "FLOPs": (["plan", "--flops", "many"], "a number of FLOPs is expected, as 1e20, not 'many'"),
    "hours": (["plan", "--hours", "0"], "--hours is above 0, not 0.0"),
    "an accuracy": (["plan", "--target-accuracy", "90"], "--target-accuracy is a share above 0 and below 1, not 90.0"),
    "a device": (["plan", "--hours", "1", "--device", "h10"], "no device 'h10': did you mean 'h100'?"),
    "a ladder": (["plan", "--hours", "1", "--ladder", "{tmp}/none"], "none holds no ladder"),
    "another recipe for a run": (["pretrain", "--out", "{run}", "--steps", "9"], "holds a run of another recipe"),
    "a directory that cannot be": (["pretrain", "--out", "{run}/recipe.json/x"], "cannot make the directory"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(
    here: Callable[..., Said], trained: Path, tmp_path: Path, what: str
) -> None:
    arguments, message = WRONG[what]
    said = here(*(argument.format(run=trained, tmp=tmp_path) for argument in arguments))
    assert said.status == 1
    complaint = said.err.strip().splitlines()[-1]
    assert complaint.startswith("castalia: ")
    assert message in complaint
    assert "Traceback" not in said.out + said.err


def test_a_process_of_its_own_says_the_same() -> None:
    said = castalia("pretrain", "pocket", "--set", "trainng.steps=3")
    assert said.status == 1
    assert said.out == ""
    assert re.fullmatch(r"castalia: no field 'trainng\.steps' .*did you mean 'training\.steps'\?.*\n", said.err)


@pytest.mark.parametrize("arguments", [["pretrain", "--step", "3"], ["evl"], ["pretrain", "--minutes", "ten"]])
def test_a_wrong_option_or_command_is_refused_with_the_usage(here: Callable[..., Said], arguments: list[str]) -> None:
    said = here(*arguments)
    assert said.status == 2
    assert arguments[-1] in said.err or "--minutes" in said.err
    assert "Traceback" not in said.out + said.err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_the_help_of_every_command_shows_an_example_that_is_one(here: Callable[..., Said], command: list[str]) -> None:
    said = here(*command, "--help")
    assert said.status == 0
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.out).split())
    assert re.search(rf"\$ ([^$]* && )?castalia {' '.join(command)}\b", text)


def test_the_fields_that_examples_set_exist_and_fit() -> None:
    from castalia.recipes import load_homework, load_recipe

    texts = [path.read_text() for path in sorted((REPOSITORY / "castalia" / "cli").glob("*.py"))]
    settings = [setting for text in texts for setting in re.findall(r"\b[a-z]+\.[a-z_]+=[\w:]+", text)]
    assert settings
    for setting in settings:
        field, _, value = setting.partition("=")
        made = load_homework if field.partition(".")[0] in ("practice", "penalty") else load_recipe
        made("pocket").override({field: value})


def test_alone_it_lists_its_commands(here: Callable[..., Said]) -> None:
    for arguments in ([], ["--help"]):
        said = here(*arguments)
        assert said.status == 0
        assert all(command[0] in said.out for command in COMMANDS)
    said = here("data", "--help")
    assert all(command[1] in said.out for command in COMMANDS if command[0] == "data")


def test_json_of_every_command_that_has_it_is_one_line_that_parses(
    here: Callable[..., Said], trained: Path, drawn: Path
) -> None:
    evaluation = json.loads(here("eval", trained, "--n", "2", "--difficulty", "1", "--json").out)
    assert set(evaluation["families"]) == {"charts", "countdown"}
    assert evaluation["families"]["charts"]["1"]["n"] == 2
    reply = json.loads(here("ask", trained, "Which is taller?", "--image", drawn, "--max-tokens", "5", "--json").out)
    assert set(reply) == {"thoughts", "answer", "logprob", "stopped", "tokens", "seconds", "replies"}
    assert set(reply["replies"][0]) == {"thoughts", "answer", "logprob", "stopped"}
    assert reply["logprob"] < 0 < reply["tokens"] <= 5
    assert len(json.loads(here("data", "ls", "--json").out)) > 5


def test_a_family_can_be_looked_at_by_kind_of_question(here: Callable[..., Said], trained: Path) -> None:
    asked = ["eval", trained, "--task", "charts", "--n", "4", "--difficulty", "1"]
    rows = json.loads(here(*asked, "--json").out)["families"]["charts"]["1"]["kinds"]
    plain, told = here(*asked).out, here(*asked, "--kinds").out
    assert len(rows) > 1
    for kind, row in rows.items():
        line = next(line for line in told.splitlines() if f"  {kind} " in line)
        assert f"{row['correct']:g} of {row['n']}" in line and f"{row['accuracy']:.0%} │" in line
        assert f"{row['chance']:.0%} │" in line
        assert f"  {kind} " not in plain


def test_thoughts_are_shown_as_they_come_and_agents_side_by_side(
    here: Callable[..., Said], trained: Path, drawn: Path, tmp_path: Path
) -> None:
    asked = [
        "ask",
        trained,
        "Which is taller?",
        "--image",
        drawn,
        "--show",
        "thoughts",
        "--canvases",
        tmp_path / "seen",
    ]
    answer = here(*asked[:5]).out.strip()
    shown = here(*asked)
    assert shown.status == 0 and shown.out.strip().endswith(answer)
    shown = here(*asked, "--contemplate", "3", "--effort", "minimal")
    assert shown.status == 0
    assert all(f"agent {number}" in shown.out for number in (1, 2, 3))
    unknown = here(*asked, "--actions", "agent")
    assert unknown.status == 1 and "did you mean 'agents'" in unknown.err


def test_a_conversation_goes_on_after_a_mistake_and_ends_with_its_input(trained: Path, drawn: Path) -> None:
    lines = [
        f"/image {drawn}",
        "Which is taller?",
        "/image none.png",
        "/effort hihg",
        "/what",
        "\udcff\udcfe",
        "/contemplate ²",
        "And now?",
        "/new",
        "/help",
    ]
    done = subprocess.run(
        [sys.executable, "-m", "castalia", "chat", str(trained)],
        input="\n".join(lines), capture_output=True, encoding="utf-8", errors="surrogateescape", cwd=REPOSITORY,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    mistakes = ("none.png cannot be read", "did you mean 'high'", "there is no /what", "not UTF-8", "from 0 to 64")
    for said in (*mistakes, "/contemplate N"):
        assert said in done.stdout, said


def test_one_seed_draws_one_answer(here: Callable[..., Said], trained: Path) -> None:
    def answer(seed: int) -> str:
        return here("ask", trained, "Make 10 from 2, 5.", "--temperature", "1", "--seed", str(seed)).out

    assert answer(1) == answer(1) != answer(2)


@pytest.mark.parametrize("family", ["charts", "speech", "countdown"])
def test_an_example_of_a_family_can_be_seen_and_asked_about(
    here: Callable[..., Said], trained: Path, tmp_path: Path, family: str
) -> None:
    line = ("data", "sample", family, "--difficulty", "2", "--out", tmp_path)
    example = build_task(family).sample(0, 2, "held_out")
    said = here(*line)
    assert said.status == 0, said.err
    for question in example.questions:
        assert f"question: {question.text}\n" in said.out and f"answer:   {question.answer}\n" in said.out
    assert len([*tmp_path.iterdir()]) == len(example.context)
    ask = shlex.split(re.findall(r"^ *castalia (ask .*)$", said.out, re.MULTILINE)[-1])
    asked = here(*ask, "--json")
    assert asked.status == 0 and json.loads(asked.out)["answer"] is not None, asked.err
    found = json.loads(here(*line, "--json").out)
    assert [one["text"] for one in found["questions"]] == [question.text for question in example.questions]
    assert found["files"] == [str(path) for path in tmp_path.iterdir()]


def test_the_main_job_at_its_smallest_ends_with_a_report_a_table_and_an_answer(tmp_path: Path, drawn: Path) -> None:
    directory = tmp_path / "run"
    job = ["run", "pocket", "--minutes", "3", "--questions", "5", "--out", directory]
    said = castalia(*job)
    assert said.status == 0, said.err
    assert "Traceback" not in said.out + said.err
    for family in ("digits", "speech", "charts", "mazes", "countdown", "average"):
        assert re.search(rf"{family}.*\d%", said.out), family

    report = (directory / "report.html").read_text()
    assert "<svg" in report
    assert not re.search(r"""(?:src|href|url|@import)\s*[=(]\s*["']?\s*(?:https?:)?//""", report)
    assert f"{directory}/report.html" in said.out, "paths are never broken: people copy them"

    ask = re.search(r"^ *castalia (ask .*)$", said.out, re.MULTILINE)
    assert ask is not None
    words = shlex.split(ask[1])
    asked = castalia(*words, "--image", drawn)
    assert (asked.status, asked.err) == (0, "")
    assert asked.out == load(directory).ask(words[2], image=drawn) + "\n"
    # After so short a school one answer may be empty: of several not all are.
    others = (words[2], "Make 7 from 3, 4.", "Make 12 from 3, 4.", "Make 9 from 4, 5.")
    assert asked.out.strip() or any(load(directory).ask(text).strip() for text in others)

    metrics = (directory / "metrics.jsonl").read_bytes()
    checkpoints = sorted(os.listdir(directory / "checkpoints"))
    again = castalia(*job)
    assert again.status == 0, again.err
    assert (directory / "metrics.jsonl").read_bytes() == metrics
    assert sorted(os.listdir(directory / "checkpoints")) == checkpoints
    assert again.out.count("average") == 1


def test_an_exam_asks_in_every_way_and_finds_nothing_that_was_trained_on(
    here: Callable[..., Said], trained: Path
) -> None:
    said = here("exam", trained, "--n", "2", "--task", "countdown", "--json")
    assert said.status == 0, said.err
    found = json.loads(said.out)
    assert found == json.loads((trained / "exam.json").read_text())
    assert set(found["levels"]["countdown"]) == {*map(str, range(1, 11)), "out of range"}
    assert set(found["media"]) == {"text", "voice", "picture"}
    assert set(found["words"]) == {"as in training", "otherwise"}
    assert "medium" in found["ways"] and set(found["references"]) == {"Whisper tiny.en", "RapidOCR", "SmolLM2-135M"}
    assert found["audit"]["countdown, text"]["items"] == 22 and found["audit"]["countdown, text"]["exact"] == 0
    assert "by difficulty" in here("exam", trained, "--n", "2", "--task", "countdown", "--no-audit").out


def test_a_whole_exam_is_recorded_where_there_is_a_place_for_it(
    here: Callable[..., Said], trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    run = Path(shutil.copytree(trained, tmp_path / "run"))
    refused = here("exam", run, "--n", "1", "--record")
    assert refused.status == 1 and "README.md here, and it has none: <!-- figures: exam -->" in refused.err
    (tmp_path / "README.md").write_text("<!-- figures: exam -->\n<!-- end -->\n")
    (tmp_path / "docs" / "figures").mkdir(parents=True)
    said = here("exam", run, "--n", "1", "--record")
    assert said.status == 0, said.err
    written = (tmp_path / "README.md").read_text()
    assert "exactly right by difficulty" in written and "(docs/results/run/exam.md)" in written
    assert "contamination audit" in (tmp_path / "docs" / "results" / "run" / "exam.md").read_text()
    assert f"`castalia exam {run} --n 1`" in written


def test_an_exam_goes_on_with_the_part_that_it_was_stopped_in(here: Callable[..., Said], trained: Path) -> None:
    job = ("exam", trained, "--n", "3", "--task", "countdown", "--no-audit", "--json")
    found = json.loads(here(*job).out)
    stopped = {name: part for name, part in found.items() if name not in ("ways", "references")}
    stopped["levels"]["countdown"]["1"]["accuracy"] = 0.125
    (trained / "exam.json").write_text(json.dumps(stopped))
    again = json.loads(here(*job).out)
    assert again["levels"] == stopped["levels"] and again["ways"].keys() == found["ways"].keys()
    assert json.loads(here("exam", trained, "--n", "1", *job[4:]).out)["asked"]["n"] == 1
    assert json.loads((trained / "exam.json").read_text()) == again, "a lesser exam does not replace it"
    more = json.loads(here("exam", trained, "--n", "4", *job[4:]).out)
    assert more["asked"]["n"] == 4 and more["levels"]["countdown"]["1"]["accuracy"] != 0.125


def test_the_audit_looks_at_all_that_was_drawn(trained: Path) -> None:
    drawn = len(Learned(trained))
    assert drawn >= max(index for stream in load_state(trained)["data"] for index in stream)
    assert drawn >= load_state(trained)["progress"]["documents"] > 0
