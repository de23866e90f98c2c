"""Commands for data: fetch what tasks need, list it, make one's own documents trainable."""

from pathlib import Path

import tyro


def data_fetch(sources: tyro.conf.Positional[tuple[str, ...]] = ()) -> None:
    """Fetch data sources into the cache (default: all that tasks need). What cannot be had is left out with one line.

    $ castalia data fetch

    Args:
        sources: names from `castalia data ls`.
    """
    from castalia.data import commands

    commands.fetch(list(sources) or None)


def data_ls(json: bool = False) -> None:
    """List data sources with counts, sizes and licences.

    $ castalia data ls --json

    Args:
        json: print JSON instead of a table.
    """
    from castalia.data import commands

    commands.ls(json=json)


def data_sample(
    family: tyro.conf.Positional[str],
    /,
    difficulty: int = 1,
    seed: int = 0,
    split: str = "held_out",
    out: Path = Path("samples"),
    json: bool = False,
) -> None:
    """Show an example of a task family: its picture or sound as a file, questions, thoughts, answers, how to ask.

    $ castalia data sample charts --difficulty 2
    $ castalia data sample speech --seed 3 --json

    Args:
        family: a task family, as charts, or reasoning_gym:SET.
        difficulty: from 1 to 10.
        seed: which example; the same one everywhere.
        split: held_out, out_of_range or train.
        out: directory that the picture or sound is written to.
        json: print one line of JSON instead.
    """
    from castalia.data import commands

    commands.sample(family, difficulty, seed, split, out, json=json)


def data_build(file: tyro.conf.Positional[Path], /, out: Path | None = None) -> None:
    """Make your own documents trainable: FILE.jsonl in the OpenAI message format, with pictures and sounds.

    $ castalia data build mine.jsonl && castalia pretrain pocket --set data.mixture=mine:1 --out runs/mine

    Args:
        file: one document a line: {"messages": [...]}.
        out: directory to write (default: FILE without .jsonl).
    """
    from castalia.data import commands

    commands.build(file, out or file.with_suffix(""))
