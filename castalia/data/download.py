"""Downloading: a stream from an address, a program's run, a checksum; what every registry's fetcher is made of."""

import hashlib
import http.client
import os
import shutil
import subprocess
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from castalia.data.archive import sha256_of
from castalia.errors import DataError

Report = Callable[[str], None]
"""Is told in a few words what is going on."""

MOST_DOWNLOADED = 4 << 30
"""Bytes after which a download is given up."""
PATIENCE = 30
"""Seconds without a byte after which an address is given up."""


@dataclass(frozen=True)
class Obtained:
    """What came: its version, the checksum of the archive (empty: there was none), and a `note` for the person."""

    version: str
    sha256: str = ""
    note: str = ""


def download(address: str, path: Path, *, most: int = MOST_DOWNLOADED, report: Report | None = None) -> str:
    """Stream an http(s) address into the file `path` and return its SHA-256.

    Raises DataError if the address cannot be read, ends early, or gives more than `most` bytes; then `path` is gone.
    """
    if not address.lower().startswith(("http://", "https://")):
        raise DataError(f"{address} is not an http or https address")
    digest, done = hashlib.sha256(), 0
    try:
        request = urllib.request.Request(address, headers={"User-Agent": "castalia"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as response, path.open("wb") as file:
            length = int(response.headers.get("Content-Length") or 0)
            if length > most:
                raise DataError(f"{address} has {length:,} bytes, at most {most:,} are accepted")
            while block := response.read(1 << 18):
                done += len(block)
                if done > most:
                    raise DataError(f"{address} has more than the {most:,} bytes that are accepted")
                digest.update(block)
                file.write(block)
                if report:
                    report(f"{done / 1e6:.0f}{f' of {length / 1e6:.0f}' if length else ''} MB")
            if done < length:
                raise DataError(f"{address} ended after {done:,} of {length:,} bytes")
    except DataError:
        path.unlink(missing_ok=True)
        raise
    except (OSError, ValueError, http.client.HTTPException) as error:
        path.unlink(missing_ok=True)
        raise DataError(f"{address} cannot be read: {getattr(error, 'reason', None) or error}") from error
    return digest.hexdigest()


class Downloads:
    """A directory for archives beside the one that is filled; gone when the context is left, however it is left."""

    def __init__(self, into: Path) -> None:
        """Make it inside `into`, so that it goes with it if the process is killed."""
        self.path = into / ".downloads"

    def __enter__(self) -> Path:
        self.path.mkdir()
        return self.path

    def __exit__(self, *_: object) -> None:
        shutil.rmtree(self.path, ignore_errors=True)


def run(command: list[str], name: str, cwd: Path | None = None) -> str:
    """Run a program and return what it printed; raises DataError with its own reason, on one line, if it fails."""
    try:
        environment = os.environ | {"LC_ALL": "C.UTF-8"}
        done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, errors="replace")
    except FileNotFoundError as error:
        raise DataError(f"{name} is not installed") from error
    if done.returncode:
        raise DataError(f"{name} says: {_reason(done.stderr or done.stdout) or f'exit status {done.returncode}'}")
    return done.stdout + done.stderr


def verify(archive: Path, expected: str) -> str:
    """Return the SHA-256 of `archive`; raises DataError if `expected` is another (empty: anything goes)."""
    found = sha256_of(archive)
    if expected and found != expected:
        raise DataError(f"its checksum is wrong: sha256 {found[:16]}…, expected {expected[:16]}…")
    return found


def first_line(text: str) -> str:
    """Return the first line of `text` that is not empty, at most 200 characters of it."""
    return next((line.strip()[:200] for line in text.splitlines() if line.strip()), "")


def _reason(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    # apt and npm say several things; what starts like this is the reason.
    marked = [line for line in lines if line.lower().startswith(("error", "e:", "npm error", "npm err!"))]
    return (marked or lines or [""])[0][:200]
