"""A cache of the test's own, and a web server on loopback."""

import io
import threading
import wave
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as pillow

Pages = dict[str, bytes | Callable[[BaseHTTPRequestHandler], None]]


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "castalia"


@pytest.fixture
def web() -> Iterator[tuple[str, Pages]]:
    """Yield the address of a server and what it gives by path: bytes, or a function that answers by itself."""
    pages: Pages = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            page = pages.get(self.path)
            if callable(page):
                page(self)
                return
            self.send_response(404 if page is None else 200)
            self.send_header("Content-Length", str(len(page or b"")))
            self.end_headers()
            self.wfile.write(page or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", pages
    server.shutdown()
    server.server_close()


@pytest.fixture
def png() -> Callable[..., bytes]:
    """Return a function that makes a PNG file of 5 × 3 pixels."""
    return _png


@pytest.fixture
def wav() -> Callable[..., bytes]:
    """Return a function that makes a WAV file of some seconds."""
    return _wav


def _png(shade: int = 40) -> bytes:
    file = io.BytesIO()
    pillow.new("RGB", (5, 3), (shade, 0, 0)).save(file, "PNG")
    return file.getvalue()


def _wav(seconds: float = 0.5) -> bytes:
    file = io.BytesIO()
    samples = (np.sin(np.arange(int(16_000 * seconds)) / 7) * 9000).astype(np.int16)
    with wave.open(file, "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(16_000)
        sound.writeframes(samples.tobytes())
    return file.getvalue()
