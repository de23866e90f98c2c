"""Databases for tests: files of SQLite, and a PostgreSQL that is started for the session; a small model, served."""

import os
import pwd
import shutil
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import uvicorn
from fastapi import FastAPI
from sqlalchemy import create_engine

from castalia.recipes import load_recipe
from castalia.serve.access import Gate
from castalia.serve.api.answering import House
from castalia.serve.app import build_app
from castalia.serve.database import Database, open_database
from castalia.serve.server import listening, local_service
from castalia.serve.service.job import Service
from castalia.serve.service.local import LocalService
from castalia.training.pretrain import pretrain

PASSWORD = "Sesam-öffne-dich"
WHERE = "/usr/lib/postgresql"
# It ends with its input: of tests that are killed neither the server nor its files stay behind.
SERVER = """
"$2" --no-sync --encoding=UTF8 --locale=C --username=castalia --auth=scram-sha-256 --pwfile="$1/password" \\
    "$1/data" > "$1/log" 2>&1 &&
"$3" start --wait --silent -D "$1/data" -l "$1/log" \\
    -o "-c listen_addresses= -c unix_socket_directories=$1 -c fsync=off" &&
echo started
read -r ended
"$3" stop --wait --silent -D "$1/data" -m immediate
rm -rf "$1"
"""


def program(name: str) -> str | None:
    """Return where a program of PostgreSQL's server is; Debian keeps them out of the path."""
    found = shutil.which(name)
    return found or next((str(path) for path in sorted(Path(WHERE).glob(f"*/bin/{name}"), reverse=True)), None)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[Callable[[], str]]:
    """Return a function that makes an empty database and returns its URL. The server listens on a socket of its own."""
    initdb, pg_ctl = program("initdb"), program("pg_ctl")
    if not (initdb and pg_ctl):
        pytest.skip("PostgreSQL is not installed: there is no initdb")
    # Not below pytest's directory: that is the user's alone, and PostgreSQL refuses to run as root.
    home = Path(tempfile.mkdtemp(prefix="castalia-postgresql-"))
    (home / "password").write_text(PASSWORD)
    (home / "password").chmod(0o644)
    somebody: dict[str, Any] = {}
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        somebody = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        os.chown(home, nobody.pw_uid, nobody.pw_gid)
    server = subprocess.Popen(
        ["sh", "-c", SERVER, "sh", home, initdb, pg_ctl], cwd="/", start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, **somebody,
    )  # fmt: skip
    assert server.stdout is not None
    numbers = count()
    try:
        assert server.stdout.readline() == "started\n", (home / "log").read_text()
        yield lambda: new_database(home, f"made_{next(numbers)}")
    finally:
        server.communicate()


def new_database(home: Path, name: str) -> str:
    """Make an empty database on the server whose socket is in `home`; returns its URL."""
    server = f"://castalia:{quote(PASSWORD)}@/{{}}?host={home}"
    engine = create_engine("postgresql+psycopg" + server.format("postgres"), isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    engine.dispose()
    return "postgresql" + server.format(name)


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database of each kind."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'castalia.db'}"
    return request.getfixturevalue("postgresql")()


@pytest.fixture
def database(url: str) -> Iterator[Database]:
    """Return an empty database of each kind, open."""
    opened = open_database(url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a run that has learned how an answer looks: thoughts, then a few signs."""
    small = {"model.width": "48", "model.heads": "2", "model.layers": "2", "training.compile": "false"}
    data = {"data.mixture": "countdown:1", "data.difficulties": "1", "training.steps": "120", "feed.length": "256"}
    directory = tmp_path_factory.mktemp("served") / "small"
    pretrain(load_recipe("pocket").override(small | data), directory)
    return directory


Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def until() -> Until:
    """Return a function that waits until something holds."""

    def wait(holds: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 20
        while not holds():
            assert time.monotonic() < deadline, "it never was"
            time.sleep(0.02)

    return wait


Start = Callable[..., str]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Return a function that serves a service on a socket of this machine and returns its address, without /v1."""
    with ExitStack() as servers:

        def run(service: Service, database: Database | None = None, *, open_to_all: bool = True, **more: Any) -> str:
            kept = database or open_database(f"sqlite:///{tmp_path / 'castalia.db'}")
            return servers.enter_context(serving(build_app(House(service, Gate(kept, open_to_all), kept, **more))))

        yield run


@pytest.fixture
def start_app() -> Iterator[Callable[[FastAPI], str]]:
    """Return a function that serves any application and returns its address."""
    with ExitStack() as servers:
        yield lambda app: servers.enter_context(serving(app))


@pytest.fixture(scope="session")
def service(trained: Path) -> Iterator[LocalService]:
    """Return the small model in this process, ready to be served."""
    made = LocalService.load(trained, "small")
    yield made
    made.close()


@pytest.fixture(scope="session")
def address(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a server that is open to all, of the small model in a process of its own."""
    service = local_service(trained, "small")
    kept = open_database(f"sqlite:///{tmp_path_factory.mktemp('address') / 'castalia.db'}")
    with serving(build_app(House(service, Gate(kept, True), kept))) as where:
        yield where
    service.close()


@contextmanager
def serving(app: FastAPI) -> Iterator[str]:
    """Serve an application in a thread while this lasts."""
    socket = listening("127.0.0.1", 0)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [socket]}, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{socket.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
