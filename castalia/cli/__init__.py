"""The command `castalia`: a thin face over the house. Heavy imports wait until a command needs them."""

import os
import sys
from collections.abc import Callable
from typing import Any

import tyro

from castalia.cli.answering import ask, chat, serve
from castalia.cli.examining import evaluate, exam, publish
from castalia.cli.forecasting import check, forecast
from castalia.cli.learning import figures, pretrain, rl, run
from castalia.cli.material import data_build, data_fetch, data_ls, data_sample
from castalia.cli.planning import multiplier, plan
from castalia.data.cache import cache_directory
from castalia.errors import CastaliaError

ABOUT = "Castalia: natively multimodal reasoning models, from school to service. COMMAND --help shows examples."


def _data() -> None:
    """Fetch and list data sources, build your own: see castalia data --help."""


def _keys() -> None:
    """Make, list and revoke the keys of a server, invite others to make one: see castalia keys --help."""


Commands = dict[str, Callable[..., Any]]
GROUPS: dict[str, Commands] = {
    "data": {"fetch": data_fetch, "ls": data_ls, "sample": data_sample, "build": data_build},
    "forecast": {"check": check, "multiplier": multiplier},
}
COMMANDS: Commands = {
    "run": run,
    "pretrain": pretrain,
    "rl": rl,
    "eval": evaluate,
    "exam": exam,
    "publish": publish,
    "forecast": forecast,
    "plan": plan,
    "ask": ask,
    "chat": chat,
    "data": _data,
    "serve": serve,
    "keys": _keys,
    "figures": figures,
}

RESUMED = (["run"], ["pretrain"], ["rl"], ["exam"], ["forecast"])
"""Commands that keep what they have done, for when they are asked again."""


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
        if arguments[:1] in (["data"], ["keys"]) or arguments[:2] in (
            ["forecast", "check"],
            ["forecast", "multiplier"],
        ):
            group, arguments = arguments[0], arguments[1:]
            commands = _keys_commands() if group == "keys" else GROUPS[group]
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
        goes_on = "; the same command goes on from the last checkpoint" if sys.argv[1:2] in RESUMED else ""
        print(f"\ncastalia: stopped{goes_on}", file=sys.stderr)
        sys.exit(130)
