"""The command `castalia keys`: what it prints, what it keeps, and what it says when something is wrong."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from castalia import cli
from castalia.errors import AccessError
from castalia.serve.access import Gate, create_key
from castalia.serve.commands import database_url
from castalia.serve.database import Usage, open_database

COMMANDS = ["create", "invite", "list", "revoke"]


@dataclass(frozen=True)
class Said:
    """What a command left: its exit status, what it printed, what it complained of."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        assert (self.status, self.err) == (0, "")
        assert self.out.count("\n") == 1
        return json.loads(self.out)


Keys = Callable[..., Said]


@pytest.fixture
def keys(url: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Keys:
    """Return a function that runs `castalia keys` in this process on a new database of each kind."""
    monkeypatch.setenv("CASTALIA_DATABASE", url)

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["castalia", "keys", *arguments])
        status = 0
        try:
            cli.main()
        except SystemExit as leaving:
            status = leaving.code if isinstance(leaving.code, int) else 1
        return Said(status, *capfd.readouterr())

    return run


def may_enter(url: str, secret: str) -> bool:
    database = open_database(url)
    try:
        Gate(database, open_to_all=False).enter(secret, None)
    except AccessError:
        return False
    finally:
        database.close()
    return True


def test_a_new_key_lets_in_and_its_secret_is_shown_once(keys: Keys, url: str) -> None:
    said = keys("create", "anna")
    secret, told = said.out.splitlines()
    assert (said.status, said.err) == (0, "")
    assert may_enter(url, secret)
    assert "'anna'" in told and "will not be shown again" in told
    for again in (keys("list"), keys("list", "--json"), keys("revoke", "anna")):
        assert secret not in again.out and secret[:12] in again.out


def test_limits_are_kept_and_listed(keys: Keys) -> None:
    options = "--requests-per-minute 60 --tokens-per-minute 9000 --tokens-per-month 1000000 --models pocket nano"
    limits = {"requests_per_minute": 60, "tokens_per_minute": 9000, "tokens_per_month": 1000000}
    made = keys("create", "anna", *options.split(), "--json").json
    assert made.items() >= ({"name": "anna", "models": ["pocket", "nano"]} | limits).items()
    assert made["secret"].startswith(made["prefix"])
    (row,) = keys("list", "--json").json
    assert row.items() >= ({"prefix": made["prefix"], "name": "anna", "models": ["pocket", "nano"]} | limits).items()
    assert (row["tokens_this_month"], row["last_used"], row["revoked"]) == (0, None, None)
    assert abs(datetime.fromisoformat(row["created"]) - datetime.now(UTC)) < timedelta(minutes=1)
    table = keys("list").out
    for cell in ("anna", made["prefix"], "60", "9,000", "1,000,000", "pocket, nano"):
        assert cell in table


def test_the_list_says_what_was_used_this_month_and_when_last(keys: Keys, url: str) -> None:
    database = open_database(url)
    key, moment = create_key(database, "anna").row, datetime.now(UTC)
    for when, tokens in ((moment, 1234), (moment - timedelta(days=32), 5)):
        database.add(Usage(key_id=key.id, when=when, endpoint="/v1/x", prompt_tokens=tokens, seconds=1, status=200))
    database.close()
    (row,) = keys("list", "--json").json
    assert (row["tokens_this_month"], datetime.fromisoformat(row["last_used"])) == (1234, moment)
    assert "1,234" in keys("list").out and f"{moment:%Y-%m-%d %H:%M}" in keys("list").out


def test_an_invitation_is_redeemed_once(keys: Keys, url: str) -> None:
    said = keys("invite", "--days", "3", "--requests-per-minute", "5")
    code, told = said.out.splitlines()
    assert f"{datetime.now(UTC) + timedelta(days=3):%Y-%m-%d}" in told and "castalia keys create" in told
    made = keys("create", "anna", "--invitation", code, "--json").json
    assert made["requests_per_minute"] == 5 and may_enter(url, made["secret"])
    again = keys("create", "bob", "--invitation", code)
    assert (again.status, again.err) == (1, "castalia: the invitation was used already\n")
    invited = keys("invite", "--models", "pocket", "--json").json
    assert invited["models"] == ["pocket"] and invited["requests_per_minute"] is None
    expires = datetime.fromisoformat(invited["expires"])
    assert timedelta(days=6, hours=23) < expires - datetime.now(UTC) <= timedelta(days=7)
    assert keys("create", "bob", "--invitation", invited["code"]).status == 0


@pytest.mark.parametrize("by", [lambda made: made["name"], lambda made: made["prefix"], lambda made: made["secret"],
                                lambda made: made["prefix"][:9]])  # fmt: skip
def test_a_key_is_revoked_by_name_or_prefix_or_secret(keys: Keys, url: str, by: Callable[[Any], str]) -> None:
    made, other = (keys("create", name, "--json").json for name in ("anna", "bob"))
    said = keys("revoke", by(made), "--json").json
    assert (said["name"], said["prefix"]) == ("anna", made["prefix"])
    assert not may_enter(url, made["secret"]) and may_enter(url, other["secret"])
    again = keys("revoke", by(made))
    assert again.status == 1 and "was revoked already" in again.err and made["secret"] not in again.err
    assert {row["name"]: row["revoked"] for row in keys("list", "--json").json} == {
        "anna": said["revoked"], "bob": None
    }  # fmt: skip


def test_of_two_keys_with_one_name_none_is_revoked_until_it_is_said_which(keys: Keys, url: str) -> None:
    first, second = (keys("create", "anna", "--json").json for _ in range(2))
    said = keys("revoke", "anna")
    assert said.status == 1
    assert f"several keys: say which by its prefix: {first['prefix']}, {second['prefix']}" in said.err
    assert may_enter(url, first["secret"]) and may_enter(url, second["secret"])
    assert keys("revoke", second["prefix"]).status == 0
    assert keys("revoke", "anna").status == 0
    assert not may_enter(url, first["secret"])


WRONG = {
    "no key at all": (["revoke", "anna"], "no key 'anna': there are none"),
    "too little of a prefix": (["revoke", "cst-"], "'cst-' is too short: give at least 8 characters of the prefix"),
    "an invitation": (["create", "anna", "--invitation", "inv-x"], "there is no such invitation"),
    "limits beside an invitation": (
        ["create", "anna", "--invitation", "inv-x", "--models", "pocket"],
        "--invitation brings its own limits: give none",
    ),
    "a limit": (["create", "anna", "--tokens-per-minute", "0"], "tokens_per_minute 0: from 1 to"),
    "days": (["invite", "--days", "0"], "an invitation is for 1 to 3650 days, not 0"),
    "a name": (["create", "\x1b[2J"], "a key's name is 1 to 100 printable characters"),
    "a database": (["list", "--database", "castalia.db"], "that is not the URL of a database"),
    "a server": (["list", "--database", "postgresql://anna:sesame@127.0.0.1:1/x"], "127.0.0.1/x cannot be opened"),
}


@pytest.mark.parametrize("what", WRONG)
def test_what_is_wrong_is_said_in_one_sentence(keys: Keys, what: str) -> None:
    arguments, message = WRONG[what]
    said = keys(*arguments)
    assert (said.status, said.out) == (1, "")
    assert re.fullmatch(r"castalia: [^\n]+\n", said.err) and message in said.err
    assert "sesame" not in said.err and "\x1b" not in said.err


def test_a_misspelt_name_is_answered_with_the_right_one(keys: Keys) -> None:
    keys("create", "anna [red]")
    assert keys("revoke", "ana").err == "castalia: no key 'ana': did you mean 'anna [red]'? (there are: anna [red])\n"
    assert "anna [red]" in keys("list").out, "brackets are no markup"


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_shows_an_example_and_where_keys_are(keys: Keys, command: str) -> None:
    said = keys(command, "--help")
    text = " ".join(re.sub(r"[│╭╮╰╯─]", " ", said.out).split())
    assert said.status == 0 and f"$ castalia keys {command}" in text
    assert "CASTALIA_DATABASE" in text and "--json" in text


def test_alone_it_lists_its_commands(keys: Keys) -> None:
    said = keys()
    assert said.status == 0 and all(command in said.out for command in COMMANDS)


def test_the_database_is_the_one_given_else_the_environments_else_the_users(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CASTALIA_DATABASE", "sqlite:///environment.db")
    assert database_url("sqlite:///given.db") == "sqlite:///given.db"
    assert database_url() == "sqlite:///environment.db"
    monkeypatch.setenv("CASTALIA_DATABASE", "")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert database_url() == f"sqlite:///{tmp_path}/castalia/castalia.db"
    monkeypatch.delenv("XDG_DATA_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert database_url() == f"sqlite:///{tmp_path}/.local/share/castalia/castalia.db"


def test_a_process_of_its_own_makes_a_key_in_the_users_database(tmp_path: Path) -> None:
    line = [sys.executable, "-m", "castalia", "keys", "create", "anna", "--json"]
    environment = {k: v for k, v in os.environ.items() if k != "CASTALIA_DATABASE"} | {"XDG_DATA_HOME": str(tmp_path)}
    done = subprocess.run(line, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert may_enter(f"sqlite:///{tmp_path}/castalia/castalia.db", json.loads(done.stdout)["secret"])


def test_without_the_extra_it_says_what_to_install() -> None:
    without = "import sys; sys.modules['sqlalchemy'] = None; sys.argv[1:] = ['keys', 'list']"
    line = [sys.executable, "-c", f"{without}; import castalia.cli; castalia.cli.main()"]
    done = subprocess.run(line, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (1, "castalia: keys need sqlalchemy: pip install 'castalia[serve]'\n")
