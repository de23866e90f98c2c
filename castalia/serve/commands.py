"""What `castalia keys` does, for the command line: create, invite, list, revoke."""

import json as jsonlib
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import tyro
from rich.console import Console
from rich.table import Table
from rich.text import Text

from castalia.console import console
from castalia.errors import CastaliaError, nearest
from castalia.serve.access import KEY_START, SHOWN, Limits, create_key, fingerprint, month_of, redeem
from castalia.serve.access import invite as make_invitation
from castalia.serve.database import Key, now, open_database

SHORTEST_PREFIX = len(KEY_START) + 4
RequestsPerMinute = Annotated[int | None, tyro.conf.arg(help="most requests a minute (default: no limit).")]
TokensPerMinute = Annotated[
    int | None, tyro.conf.arg(help="most tokens a minute, of prompts and answers (default: no limit).")
]
TokensPerMonth = Annotated[int | None, tyro.conf.arg(help="most tokens a calendar month, UTC (default: no limit).")]
Models = Annotated[tuple[str, ...], tyro.conf.arg(help="the models it may be used for (default: all).")]
DatabaseURL = Annotated[
    str | None,
    tyro.conf.arg(
        metavar="URL",
        help="where keys are kept (default: $CASTALIA_DATABASE, else ~/.local/share/castalia/castalia.db).",
    ),
]
MOMENTS = ("created", "last_used", "revoked")


def database_url(given: str | None = None) -> str:
    """Return the URL of the database: `given`, else the environment's CASTALIA_DATABASE, else a file of the user's.

    That file is ``$XDG_DATA_HOME/castalia/castalia.db``, by default ``~/.local/share/castalia/castalia.db``: a server
    and the command find the same keys wherever they are started.
    """
    home = Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share")
    return given or os.environ.get("CASTALIA_DATABASE") or f"sqlite:///{home / 'castalia' / 'castalia.db'}"


def create(
    name: tyro.conf.Positional[str],
    /,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_month: TokensPerMonth = None,
    models: Models = (),
    invitation: str | None = None,
    database: DatabaseURL = None,
    json: bool = False,
) -> None:
    """Make a key and print its secret, which is shown this once and kept nowhere.

    $ castalia keys create anna --requests-per-minute 60 --tokens-per-month 1000000
    $ castalia keys create anna --invitation inv-Zk3v...

    Args:
        name: whose key it is, or what it is for.
        invitation: a code from `castalia keys invite`, which brings its own limits.
        json: print one line of JSON.
    """
    limits = Limits(requests_per_minute, tokens_per_minute, tokens_per_month, models or None)
    if invitation is not None and limits != Limits():
        raise CastaliaError("--invitation brings its own limits: give none")
    with closing(open_database(database_url(database))) as opened:
        issued = create_key(opened, name, limits) if invitation is None else redeem(opened, invitation, name)
    key = issued.row
    if json:
        _print({"name": key.name, "prefix": key.prefix, "secret": issued.secret, **asdict(Limits.of(key))})
        return
    _say(issued.secret)
    _say(f"This is the secret of the key {key.name!r}. It will not be shown again: nothing keeps it but you.")


def invite(
    days: int = 7,
    requests_per_minute: RequestsPerMinute = None,
    tokens_per_minute: TokensPerMinute = None,
    tokens_per_month: TokensPerMonth = None,
    models: Models = (),
    database: DatabaseURL = None,
    json: bool = False,
) -> None:
    """Print a code with which somebody else can make one key, once, with these limits.

    $ castalia keys invite --days 7 --requests-per-minute 60

    Args:
        days: for how many days it can be used.
        json: print one line of JSON.
    """
    limits = Limits(requests_per_minute, tokens_per_minute, tokens_per_month, models or None)
    with closing(open_database(database_url(database))) as opened:
        issued = make_invitation(opened, limits, days)
    expires = issued.row.expires
    if json:
        _print({"code": issued.secret, "expires": expires.isoformat(), **asdict(limits)})
        return
    _say(issued.secret)
    _say(f"This code makes one key, once, until {_day(expires)} UTC: castalia keys create NAME --invitation CODE")


def ls(database: DatabaseURL = None, json: bool = False) -> None:
    """List keys with their limits, when they were last used, and their tokens of this month (UTC).

    $ castalia keys list --json

    Args:
        json: print one line of JSON instead of a table.
    """
    today = now()
    with closing(open_database(database_url(database))) as opened:
        keys, usage = opened.keys(), opened.usage_by_key(month_of(today))
    rows = [_row(key, *usage.get(key.id, (0, None))) for key in keys]
    if json:
        _print([row | {name: row[name] and row[name].isoformat() for name in MOMENTS} for row in rows])
        return
    table = Table("prefix", "name", box=None, header_style="bold", pad_edge=False)
    for column in ("requests/minute", "tokens/minute", "tokens/month", "this month"):
        table.add_column(column, justify="right")
    for column in ("models", *(name.replace("_", " ") for name in MOMENTS)):
        table.add_column(column)
    for row in rows:
        limits = (row["requests_per_minute"], row["tokens_per_minute"], row["tokens_per_month"])
        counts = [*("" if limit is None else f"{limit:,}" for limit in limits), f"{row['tokens_this_month']:,}"]
        models = "all" if row["models"] is None else ", ".join(row["models"])
        moments = [_day(row[name]) if row[name] else "" for name in MOMENTS]
        # Text, as brackets in a name are not markup.
        table.add_row(row["prefix"], Text(row["name"]), *counts, Text(models), *moments)
    # Into a pipe or a file the table is as wide as it needs to be.
    (console if console.is_terminal else Console(width=240)).print(table)


def revoke(key: tyro.conf.Positional[str], /, database: DatabaseURL = None, json: bool = False) -> None:
    """Revoke a key: from now on it is refused, also by servers that are running.

    $ castalia keys revoke anna
    $ castalia keys revoke cst-Xa81

    Args:
        key: its name, the beginning of its prefix, or the whole secret.
        json: print one line of JSON.
    """
    moment = now()
    with closing(open_database(database_url(database))) as opened:
        found = _one(opened.keys(), key)
        with opened.session() as session:
            session.get_one(Key, found.id).revoked = moment
    if json:
        _print({"name": found.name, "prefix": found.prefix, "revoked": moment.isoformat()})
        return
    _say(f"{found.prefix}… ({found.name}) is revoked")


def _one(keys: Sequence[Key], which: str) -> Key:
    shown = f"{which[:SHOWN]}…" if len(which) > SHOWN and which.startswith(KEY_START) else which
    if not which.startswith(KEY_START):
        matching = [key for key in keys if key.name == which]
    elif len(which) < SHORTEST_PREFIX:
        raise CastaliaError(f"{which!r} is too short: give at least {SHORTEST_PREFIX} characters of the prefix")
    elif len(which) <= SHOWN:
        matching = [key for key in keys if key.prefix.startswith(which)]
    else:
        matching = [key for key in keys if key.sha256 == fingerprint(which)]
    valid = [key for key in matching if key.revoked is None]
    if len(valid) > 1:
        raise CastaliaError(f"{shown!r} is several keys: say which by its prefix: {', '.join(k.prefix for k in valid)}")
    if not valid and matching:
        raise CastaliaError(f"the key {shown!r} was revoked already")
    if not valid:
        names = {key.name for key in keys if key.revoked is None}
        raise CastaliaError(f"no key {shown!r}: {nearest(shown, names) if names else 'there are none'}")
    return valid[0]


def _row(key: Key, tokens: int, last_used: datetime | None) -> dict[str, Any]:
    return {
        "prefix": key.prefix, "name": key.name, **asdict(Limits.of(key)), "tokens_this_month": tokens,
        "created": key.created, "last_used": last_used, "revoked": key.revoked,
    }  # fmt: skip


def _day(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M}"


def _print(value: Any) -> None:
    print(jsonlib.dumps(value, ensure_ascii=False))


def _say(line: str) -> None:
    # Whole lines: secrets are copied, and brackets are not markup.
    console.print(line, markup=False, highlight=False, soft_wrap=True)
