"""Unpacking what others made: only plain files, only below the directory given, only what is wanted."""

import fnmatch
import hashlib
import shutil
import subprocess
import tarfile
import zipfile
import zlib
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import IO

from castalia.errors import DataError

MOST_BYTES = 8 << 30
"""An archive that unpacks to more is refused."""


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(archive: Path, into: Path, keep: Iterable[str] = ()) -> int:
    """Unpack a tar (any compression), zip, wheel, npm tarball or Debian package; return the number of files.

    Files are kept whose path matches one of the patterns `keep` (all, if empty); an npm tarball's top folder
    ``package/`` is left out of paths. Links and devices are not unpacked. Raises DataError for paths that lead out of
    `into`, for archives that are too large, and for what is not an archive.
    """
    keep = tuple(keep)
    try:
        if archive.suffix == ".deb":
            return _unpack_debian(archive, into, keep)
        if zipfile.is_zipfile(archive):
            return _unpack_zip(archive, into, keep)
        with tarfile.open(archive) as tar:
            return _unpack_tar(tar, into, keep, "package" if archive.suffix == ".tgz" else "")
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError, RuntimeError) as error:
        if isinstance(error, OSError) and error.errno and not isinstance(error, FileNotFoundError):
            raise
        raise DataError(f"{archive.name} cannot be unpacked: {error}") from error


def is_archive(path: Path) -> bool:
    """Say whether `unpack` can read the file, by its content."""
    return path.suffix == ".deb" or zipfile.is_zipfile(path) or tarfile.is_tarfile(path)


def _unpack_debian(archive: Path, into: Path, keep: tuple[str, ...]) -> int:
    command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    except FileNotFoundError as error:
        raise DataError("dpkg-deb is not installed") from error
    with process:
        try:
            with tarfile.open(fileobj=process.stdout, mode="r|") as tar:
                count = _unpack_tar(tar, into, keep)
        except BaseException:
            process.kill()
            raise
    return count


def _unpack_tar(tar: tarfile.TarFile, into: Path, keep: tuple[str, ...], top: str = "") -> int:
    count = total = 0
    for member in tar:
        if not member.isfile():
            continue
        path = _inside(member.name, top)
        if not _wanted(path, keep):
            continue
        total = _counted(total, member.size)
        content = tar.extractfile(member)
        if content is not None:
            _write(content, into / path)
            count += 1
    return count


def _unpack_zip(archive: Path, into: Path, keep: tuple[str, ...]) -> int:
    count = total = 0
    with zipfile.ZipFile(archive) as opened:
        for info in opened.infolist():
            if info.is_dir():
                continue
            path = _inside(info.filename)
            if not _wanted(path, keep):
                continue
            total = _counted(total, info.file_size)
            with opened.open(info) as content:
                _write(content, into / path)
            count += 1
    return count


def _inside(name: str, top: str = "") -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or "\0" in name:
        raise DataError(f"the archive holds a path that leads out of it: {name!r}")
    return path.relative_to(top) if top and path.parts[:1] == (top,) else path


def _wanted(path: PurePosixPath, keep: tuple[str, ...]) -> bool:
    return not keep or any(fnmatch.fnmatchcase(str(path), pattern) for pattern in keep)


def _counted(total: int, size: int) -> int:
    if total + size > MOST_BYTES:
        raise DataError(f"the archive unpacks to more than {MOST_BYTES >> 30} GiB")
    return total + size


def _write(content: IO[bytes], path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        shutil.copyfileobj(content, file, 1 << 20)
