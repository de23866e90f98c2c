"""README's map of the tree is the tree, line by line; and no file has grown to be two."""

import subprocess
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
MAPPED = ("castalia", "benchmarks", "scripts")
HEADING = "## The house"
LONGEST = 400


def sources(*folders: str) -> list[str]:
    """Return the .py files that are, or would be, in the repository."""
    listed = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard", "--", *folders],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    if listed.returncode:  # an archive without git
        return sorted(str(p.relative_to(ROOT)) for folder in folders for p in (ROOT / folder).rglob("*.py"))
    return sorted({name for name in listed.stdout.splitlines() if name.endswith(".py") and (ROOT / name).is_file()})


def mapped(readme: str) -> list[tuple[str, str]]:
    """Return path and description of every line of the map, from the ```text block under `HEADING`."""
    section = readme.partition(f"\n{HEADING}\n")[2].partition("\n## ")[0]
    block = section.partition("```text\n")[2].partition("```")[0]
    above: list[tuple[int, str]] = []
    lines = []
    for line in filter(str.strip, block.splitlines()):
        indent = len(line) - len(line.lstrip())
        name, _, description = line.strip().partition(" ")
        while above and above[-1][0] >= indent:
            above.pop()
        lines.append(("".join(folder for _, folder in above) + name, description.strip()))
        if name.endswith("/"):
            above.append((indent, name))
    return lines


def disagreements(readme: str, tree: list[str]) -> list[str]:
    """Return one sentence for everything in which map and tree differ; a folder's line is its __init__.py's."""
    lines = mapped(readme)
    if not lines:
        return [f"README.md has no map: a ```text block under {HEADING!r}"]
    count = Counter(path for path, _ in lines)
    wanted = {file.removesuffix("__init__.py") for file in tree}
    found = [f"no line for {path}" for path in sorted(wanted - count.keys())]
    found += [f"{n} lines for {path}" for path, n in count.items() if n > 1]
    found += [f"{path} does not say what it is" for path, said in lines if not said]
    known = wanted | {path for path in count if (ROOT / path).exists() and not path.endswith(".py")}
    return found + [f"a line for {path}, which is not there" for path in sorted(count.keys() - known)]


def test_the_map_is_the_tree() -> None:
    found = disagreements((ROOT / "README.md").read_text(), sources(*MAPPED))
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["castalia/  the package", "  cli.py  the command"], []),
        (["castalia/  the package"], ["no line for castalia/cli.py"]),
        (["castalia/  the package", "  cli.py"], ["castalia/cli.py does not say what it is"]),
        (["castalia/  a", "  cli.py  b", "  cli.py  c"], ["2 lines for castalia/cli.py"]),
        (["castalia/  a", "  cli.py  b", "  gone.py  c"], ["a line for castalia/gone.py, which is not there"]),
        (["castalia/  a", "cli.py  b"], ["no line for castalia/cli.py", "a line for cli.py, which is not there"]),
        ([], ["README.md has no map: a ```text block under '## The house'"]),
    ],
)
def test_disagreements_are_seen(lines: list[str], expected: list[str]) -> None:
    readme = "\n".join(["# Castalia", "", HEADING, "", "```text", *lines, "```", "", "## More"])
    assert disagreements(readme, ["castalia/__init__.py", "castalia/cli.py"]) == expected


def test_no_file_asks_to_be_two() -> None:
    lengths = {name: len((ROOT / name).read_text().splitlines()) for name in sources(*MAPPED, "tests")}
    assert {name: n for name, n in lengths.items() if n >= LONGEST} == {}
