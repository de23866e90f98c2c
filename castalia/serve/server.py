"""Start the server: the model, the keys, the address, and what to open."""

import signal
import socket
import sys
from pathlib import Path

import uvicorn

from castalia.console import console
from castalia.errors import CastaliaError
from castalia.serve.access import Gate
from castalia.serve.api.answering import House
from castalia.serve.app import LOOPBACK, build_app
from castalia.serve.commands import database_url
from castalia.serve.database import open_database
from castalia.serve.service.job import Service
from castalia.serve.service.process import ProcessService, freeze


def serve(
    service: Service,
    host: str,
    port: int,
    database: str | None = None,
    *,
    open_urls: bool = False,
    run: Path | None = None,
) -> None:
    """Serve until it is stopped; `run` is the run that is served, if it is one.

    Without keys it is open to all on a loopback address and does not start on any other. Raises CastaliaError if it
    cannot start: no key, or the address is in use.
    """
    try:
        kept = open_database(database_url(database))
    except CastaliaError:
        service.close()
        raise
    try:
        keys = kept.keys()
        has_keys = any(key.revoked is None for key in keys)
        is_open = not has_keys and host in LOOPBACK
        if not has_keys and not is_open:
            raise CastaliaError(f"{host} can be reached by others: make a key first (castalia keys create NAME)")
        door = listening(host, port)
        house = House(service, Gate(kept, is_open), kept, open_urls, is_local=is_open)
        app = build_app(house, page=True, run=run)
        address = f"http://{f'[{host}]' if ':' in host else host}:{door.getsockname()[1]}"
        say = console.print
        say(
            f"open [bold]{address}[/] for the app; {address}/v1 is the API, {address}/docs describes it", soft_wrap=True
        )
        say("no keys: whoever is on this machine may ask" if is_open else f"keys: {kept.place}", style="dim")
        freeze()
        config = uvicorn.Config(
            app, log_level="warning", access_log=False, timeout_graceful_shutdown=5, server_header=False
        )
        # At the end uvicorn raises again what has stopped it, by which the process would end here and now.
        signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
        uvicorn.Server(config).run(sockets=[door])
    finally:
        service.close()
        kept.close()


def local_service(run: Path, name: str | None = None) -> ProcessService:
    """Return a service of the newest checkpoint of a run, called as its directory if nothing else is said."""
    return ProcessService(run, name or run.resolve().name)


def remote_service(url: str, model: str | None, key: str | None = None) -> Service:
    """Return a service of the model behind an OpenAI-compatible endpoint. Raises CastaliaError if it is not named."""
    from castalia.serve.service.remote import RemoteService

    if not url.startswith(("http://", "https://")):
        raise CastaliaError(f"--backend is an address such as http://127.0.0.1:8080/v1, not {url!r}")
    if not model:
        raise CastaliaError("--backend needs --model: the name that the endpoint knows its model by")
    return RemoteService(url, model, key)


def listening(host: str, port: int) -> socket.socket:
    """Return a socket that listens at an address. Raises CastaliaError if that cannot be."""
    if not 0 <= port <= 65535:
        raise CastaliaError(f"--port {port}: from 1 to 65535, or 0 for a free one")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        made = socket.socket(family, socket.SOCK_STREAM)
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(address)
        made.listen(1024)
        return made
    except OSError as error:
        raise CastaliaError(f"cannot listen at {host}:{port}: {error.strerror or error}") from error
