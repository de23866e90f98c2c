"""The command `castalia`: a thin face over the house. Heavy imports wait until a command needs them."""

import json as jsonlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import tyro

from castalia.data.cache import cache_directory
from castalia.errors import CastaliaError
from castalia.tasks.effort import Effort

if TYPE_CHECKING:
    from castalia.training.recipe import Recipe

RUNS = Path("runs")
ABOUT = "Castalia: natively multimodal reasoning models, from school to service. COMMAND --help shows examples."

Set = Annotated[tuple[str, ...], tyro.conf.arg(name="set", metavar="FIELD=VALUE")]


def run(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    questions: int = 100,
    overrides: Set = (),
) -> None:
    """Educate a model: fetch data, pre-train, examine on held-out input, write the report.

    Example: castalia run pocket --minutes 10
    Run it again after an interruption and it goes on where it was.

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        minutes: wall-clock budget of training (default: the recipe's).
        steps: optimizer steps instead of minutes.
        out: run directory (default: runs/RECIPE).
        questions: exam questions a family and difficulty.
        overrides: fields of the recipe, as model.width=256.
    """
    from castalia.data import commands
    from castalia.education import educate, summarise

    made = _recipe(recipe, minutes, steps, overrides)
    commands.fetch()
    summarise(educate(made, out or RUNS / made.name, questions=questions))


def pretrain(
    recipe: tyro.conf.Positional[str] = "pocket",
    /,
    minutes: float | None = None,
    steps: int | None = None,
    out: Path | None = None,
    overrides: Set = (),
) -> None:
    """Pre-train a recipe; go on with the run if it was interrupted. Works under torchrun.

    Example: castalia pretrain pocket --minutes 5 --set model.width=256 data.mixture=mazes:1
    Example: torchrun --nproc-per-node 2 -m castalia pretrain pocket --steps 1000

    Args:
        recipe: name of a recipe, or path of a .py file with a function recipe().
        minutes: wall-clock budget (default: the recipe's).
        steps: optimizer steps instead of minutes.
        out: run directory (default: runs/RECIPE).
        overrides: fields of the recipe, as model.width=256.
    """
    from castalia.console import console, training_progress
    from castalia.training.pretrain import pretrain as train

    made = _recipe(recipe, minutes, steps, overrides)
    directory = out or RUNS / made.name
    with training_progress(made.training.minutes, made.training.steps) as report:
        trainer = train(made, directory, report=report, warn=console.print)
    if trainer.processes.is_first:
        console.print(
            f"trained {trainer.progress.step} steps in {directory}; examine it: castalia eval {directory}",
            soft_wrap=True,
        )


def evaluate(
    run: tyro.conf.Positional[Path],
    /,
    task: tuple[str, ...] = (),
    difficulty: tuple[int, ...] = (),
    n: int = 100,
    split: str = "held_out",
    json: bool = False,
) -> None:
    """Examine a run on held-out questions.

    Example: castalia eval runs/pocket --task charts mazes --difficulty 1 2 3 --n 200

    Args:
        run: run directory.
        task: task families (default: those it was trained on).
        difficulty: difficulties from 1 to 10 (default: those it was trained on).
        n: questions a family and difficulty.
        split: held_out, out_of_range or train.
        json: print one line of JSON instead of a table.
    """
    from castalia.console import accuracy_table, console
    from castalia.education import examine_run

    examination = examine_run(
        run, tasks=list(task) or None, difficulties=tuple(difficulty) or None, questions=n, split=split
    )
    evaluation = examination.to_json()
    print(jsonlib.dumps(evaluation)) if json else console.print(accuracy_table(evaluation))


def ask(
    run: tyro.conf.Positional[Path],
    question: tyro.conf.Positional[str] = "",
    /,
    image: tuple[Path, ...] = (),
    speech: tuple[Path, ...] = (),
    effort: Effort = "medium",
    contemplate: int = 0,
    actions: tuple[str, ...] | None = None,
    show: Literal["answer", "thoughts"] = "answer",
    canvases: Path = Path("canvases"),
    seconds: float | None = None,
    max_tokens: int | None = None,
    temperature: float | None = None,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Ask a trained model a question, about pictures and sounds if you like.

    Example: castalia ask runs/pocket "Which is largest?" --image chart.png
    Example: castalia ask runs/pocket "What is said?" --speech words.ogg
    Example: castalia ask runs/pocket "Make 24 from 2, 3, 4." --effort high --contemplate 8 --show thoughts
    Example: castalia ask runs/pocket "Make 24 from 2, 3, 4." --actions agents --show thoughts

    Args:
        run: run directory.
        question: the question; may be empty if it is spoken or in the picture.
        image: picture files.
        speech: sound files.
        effort: how much thought it may take.
        contemplate: how many agents think about it, and one more merges what they find.
        actions: what it may do: canvas, tools, agents (that it sends out itself), single actions, those of plugins
            (default: canvas and tools, where it has learned to act).
        show: print the answer alone, or thoughts as they come; agents stand side by side.
        canvases: where thoughts that are shown keep what they draw, as PNG.
        seconds: when there must be an answer.
        max_tokens: longest reply (default: what the effort allows).
        temperature: 0 takes the likeliest tokens (default: 0, and 0.5 where several agents think).
        seed: seed of the draw where temperature is above 0.
        json: print thoughts, answer, log-probability, tokens, seconds and every reply as one line of JSON.
    """
    from castalia.assistant import Assistant, as_prompt
    from castalia.console import console
    from castalia.reasoning.effort import Thinking
    from castalia.watching import watching

    if not (question or image or speech):
        raise CastaliaError("ask something: a question, --image or --speech")
    if not 0 <= contemplate <= 64:
        raise CastaliaError(f"--contemplate {contemplate}: from 0 to 64 agents")
    if temperature is not None and temperature < 0:
        raise CastaliaError(f"--temperature {temperature}: 0 or more")
    assistant, prompt = Assistant.load(run, actions), as_prompt(question, image=list(image), speech=list(speech))
    thinking = Thinking(effort, assistant.actions, seconds, max_tokens)
    if show == "thoughts" and not json:
        with watching(assistant.engine, console, canvases, contemplate) as watch:
            verdict = assistant.answer(prompt, assistant.strategy(thinking, contemplate, temperature, watch), seed)
        if contemplate > 1:
            console.print(verdict.answer, markup=False, highlight=False, soft_wrap=True)
        return
    verdict = assistant.answer(prompt, assistant.strategy(thinking, contemplate, temperature), seed)
    if not json:
        console.print(verdict.answer, markup=False, highlight=False, soft_wrap=True)
        return
    replies = [
        {"thoughts": r.thoughts, "answer": r.answer, "logprob": sum(r.logprobs), "stopped": r.stopped}
        for r in verdict.replies
    ]
    cost = {"tokens": verdict.tokens, "seconds": round(verdict.seconds, 3)}
    print(jsonlib.dumps(replies[-1] | {"answer": verdict.answer} | cost | {"replies": replies}))


def chat(
    run: tyro.conf.Positional[Path],
    /,
    effort: Effort = "medium",
    contemplate: int = 0,
    actions: tuple[str, ...] | None = None,
    canvases: Path = Path("canvases"),
) -> None:
    """Talk with a trained model. Pictures and sounds are given by their files; the conversation is kept.

    Example: castalia chat runs/pocket --effort high

    Args:
        run: run directory.
        effort: how much thought an answer may take.
        contemplate: how many agents think about every answer.
        actions: what it may do, as for `castalia ask`.
        canvases: where thoughts keep what they draw, as PNG.
    """
    from castalia.assistant import Assistant
    from castalia.chat import converse

    converse(Assistant.load(run, actions), effort, contemplate, canvases)


def serve(
    run: tyro.conf.Positional[Path | None] = None,
    /,
    host: str = "127.0.0.1",
    port: int = 8000,
    backend: str | None = None,
    model: str | None = None,
    backend_key: str = "CASTALIA_BACKEND_KEY",
    open_urls: bool = False,
    database: str | None = None,
) -> None:
    """Serve a model: an API that OpenAI's and Anthropic's clients just use, and the app.

    Example: castalia serve runs/pocket
    Example: castalia serve --backend http://127.0.0.1:8080/v1 --model smollm2

    On this machine alone no key is needed; for others make one first (castalia keys create NAME).

    Args:
        run: run directory (default: the newest in runs/).
        host: address to listen at; 0.0.0.0 is all of this machine's.
        port: port to listen at; 0 takes a free one.
        backend: serve the model behind this OpenAI-compatible endpoint (…/v1) instead of a run.
        model: name that clients know the model by; that of the backend's model.
        backend_key: environment variable that holds the backend's key.
        open_urls: open pictures behind public web addresses that clients send.
        database: where keys, usage and responses are kept (default: as for castalia keys).
    """
    try:
        from castalia.serve import server
    except ModuleNotFoundError as error:
        raise CastaliaError(f"serving needs {error.name}: pip install 'castalia[serve]'") from error
    if backend and run:
        raise CastaliaError("serve a run or a --backend, not both")
    if backend:
        service = server.remote_service(backend, model, os.environ.get(backend_key))
    else:
        run = run or server.newest_run(RUNS)
        service = server.local_service(run, model)
    server.serve(service, host, port, database, open_urls=open_urls, run=run)


def figures(readme: Path = Path("README.md"), docs: Path = Path("docs"), run: Path | None = None) -> None:
    """Write the README's tables from what benchmarks and runs have recorded.

    Example: python benchmarks/training.py --record && castalia figures
    Example: make run && castalia figures --run runs/pocket

    Args:
        readme: the file whose blocks are filled.
        docs: where figures/ and results/ are.
        run: an examined run to be recorded first.
    """
    from castalia.console import console
    from castalia.evals.figures import origin, record_run, write_figures

    records = docs / "figures"
    if run is not None:
        record_run(run, records, docs / "results", origin("make run"))
    names = write_figures(readme, records)
    console.print(f"{readme}: {', '.join(names) or 'no block of figures'}")


def data_fetch(sources: tyro.conf.Positional[tuple[str, ...]] = ()) -> None:
    """Fetch data sources into the cache (default: all that tasks need). What cannot be had is left out with one line.

    Example: castalia data fetch

    Args:
        sources: names from `castalia data ls`.
    """
    from castalia.data import commands

    commands.fetch(list(sources) or None)


def data_ls(json: bool = False) -> None:
    """List data sources with counts, sizes and licences.

    Example: castalia data ls --json

    Args:
        json: print JSON instead of a table.
    """
    from castalia.data import commands

    commands.ls(json=json)


def data_build(file: tyro.conf.Positional[Path], /, out: Path | None = None) -> None:
    """Make your own documents trainable: FILE.jsonl in the OpenAI message format, with pictures and sounds.

    Example: castalia data build mine.jsonl && castalia pretrain pocket --set data.mixture=mine:1

    Args:
        file: one document a line: {"messages": [...]}.
        out: directory to write (default: FILE without .jsonl).
    """
    from castalia.data import commands

    commands.build(file, out or file.with_suffix(""))


def _data() -> None:
    """Fetch and list data sources, build your own: see castalia data --help."""


def _keys() -> None:
    """Make, list and revoke the keys of a server, invite others to make one: see castalia keys --help."""


Commands = dict[str, Callable[..., Any]]
DATA_COMMANDS: Commands = {"fetch": data_fetch, "ls": data_ls, "build": data_build}
COMMANDS: Commands = {
    "run": run,
    "pretrain": pretrain,
    "eval": evaluate,
    "ask": ask,
    "chat": chat,
    "data": _data,
    "serve": serve,
    "keys": _keys,
    "figures": figures,
}


def _recipe(name: str, minutes: float | None, steps: int | None, overrides: tuple[str, ...]) -> "Recipe":
    from castalia.recipes import load_recipe

    settings = {}
    for item in overrides:
        field, equals, value = item.partition("=")
        if not equals:
            raise CastaliaError(f"--set expects FIELD=VALUE, got {item!r}")
        settings[field] = value
    if minutes is not None:
        settings["training.minutes"] = str(minutes)
    if steps is not None:
        settings["training.steps"] = str(steps)
    return load_recipe(name).override(settings)


def _keys_commands() -> Commands:
    try:
        from castalia.serve import commands
    except ModuleNotFoundError as error:
        raise CastaliaError(f"keys need {error.name}: pip install 'castalia[serve]'") from error
    return {"create": commands.create, "invite": commands.invite, "list": commands.ls, "revoke": commands.revoke}


def main() -> None:
    """Run the command line; errors of the user's are one sentence and exit status 1."""
    arguments = sys.argv[1:]
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_directory() / "inductor"))
    try:
        if arguments[:1] in (["data"], ["keys"]):
            group, arguments = arguments[0], arguments[1:]
            commands = DATA_COMMANDS if group == "data" else _keys_commands()
            program, about = f"castalia {group}", COMMANDS[group].__doc__
        else:
            commands, program, about = COMMANDS, "castalia", ABOUT
        tyro.extras.subcommand_cli_from_dict(commands, prog=program, description=about, args=arguments or ["--help"])
    except CastaliaError as error:
        print(f"castalia: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # as `castalia ... | head` leaves it
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
    except OSError as error:
        print(f"castalia: {error.filename or 'writing'}: {error.strerror or error}", file=sys.stderr)
        sys.exit(1)
    except KeyboardInterrupt:
        print("\ncastalia: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        sys.exit(130)
