"""JSON as it goes over the wire."""

import json
from typing import Any

from starlette.responses import JSONResponse


def dumped(value: Any) -> str:
    """Return JSON that can be sent: half a character, which JSON can name and UTF-8 cannot hold, becomes a ``?``."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text if text.isascii() else text.encode(errors="replace").decode()


class Json(JSONResponse):
    """A response of JSON."""

    def render(self, content: Any) -> bytes:
        """Return the body."""
        return dumped(content).encode()
