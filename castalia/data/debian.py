"""Debian packages by apt-get and dpkg-deb, with no rights needed and nothing installed."""

import os
import shutil
import urllib.parse
from pathlib import Path

from castalia.data.archive import unpack
from castalia.data.cache import cache_directory
from castalia.data.download import Downloads, Obtained, Report, run, verify
from castalia.data.sources import Source
from castalia.errors import DataError

PATIENT = ["-q", "-o", "Acquire::Retries=2", "-o", "Acquire::http::Timeout=30", "-o", "Acquire::https::Timeout=30"]


def debian(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch and unpack a Debian package: the pinned version, or else the one this machine's lists know.

    The pinned version is held to its checksum; another one to apt's own verification, and the note says so.
    """
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise DataError(f"{program} is not on this machine, and its package comes from Debian")
    with Downloads(into) as downloads:
        report("downloading")
        archive = _download(source, downloads, report)
        version = urllib.parse.unquote(archive.stem.split("_")[1])
        pinned = version == source.version
        sha256 = verify(archive, source.sha256 if pinned else "")
        report("unpacking")
        unpack(archive, into, source.keep)
    note = "" if pinned else f"version {version} is used, {source.version} is not to be had here"
    return Obtained(version, sha256, note)


def _download(source: Source, downloads: Path, report: Report) -> Path:
    options = PATIENT + (["-o", "APT::Sandbox::User=root"] if os.geteuid() == 0 else [])
    try:
        return _either_version(source, downloads, options)
    except DataError:
        # Most likely there are no package lists (fresh containers have none) or they are out of date.
        report("updating package lists")
        options += _update(options)
        return _either_version(source, downloads, options)


def _either_version(source: Source, downloads: Path, options: list[str]) -> Path:
    try:
        run(["apt-get", *options, "download", f"{source.package}={source.version}"], "apt-get", downloads)
    except DataError:
        run(["apt-get", *options, "download", source.package], "apt-get", downloads)
    return next(downloads.glob("*.deb"))


def _update(options: list[str]) -> list[str]:
    """Update the package lists; return options that name them. Who is not root gets lists of their own."""
    if os.geteuid() == 0:
        run(["apt-get", *options, "update"], "apt-get")
        return []
    private = cache_directory() / "apt"
    for folder in ("state/lists/partial", "cache/archives/partial"):
        (private / folder).mkdir(parents=True, exist_ok=True)
    own = ["-o", f"Dir::State={private / 'state'}", "-o", f"Dir::Cache={private / 'cache'}"]
    own += ["-o", f"Dir::State::lists={private / 'state/lists'}"]
    own += ["-o", "Dir::State::status=/var/lib/dpkg/status"]
    run(["apt-get", *options, *own, "update"], "apt-get")
    return own
