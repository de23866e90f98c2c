"""What is asked: words, and pictures and sounds as the files that were sent."""

import base64
import mimetypes
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from castalia.document import Document, Image, Part, Speech
from castalia.errors import CastaliaError, ImageError
from castalia.perception.image import load_image
from castalia.perception.speech import load_speech


@dataclass(frozen=True, eq=False)
class Attachment:
    """A picture or a sound as it was sent: the file's bytes and their media type, and what they are."""

    content: Image | Speech
    data: bytes
    media_type: str

    @classmethod
    def read(cls, path: Path) -> "Attachment":
        """Read a file that was sent. Raises ImageError or SpeechError if it is neither a picture nor a sound."""
        data = path.read_bytes()
        media_type = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if media_type.startswith(("audio/", "video/")):
            return cls(load_speech(data, name=path.name), data, media_type)
        try:
            return cls(load_image(data, name=path.name), data, media_type)
        except ImageError:
            if media_type.startswith("image/"):
                raise
        try:
            return cls(load_speech(data, name=path.name), data, media_type)
        except CastaliaError:
            raise ImageError(f"{path.name} is neither a picture nor a sound") from None

    @classmethod
    def of(cls, content: Image | Speech) -> "Attachment":
        """Make a file of a picture or a sound."""
        if isinstance(content, Image):
            return cls(content, content.png(), "image/png")
        return cls(content, content.wav(), "audio/wav")

    @property
    def url(self) -> str:
        """The file as a data: address."""
        return f"data:{self.media_type};base64,{base64.b64encode(self.data).decode()}"

    def message_part(self) -> dict[str, Any]:
        """Return it as a part of a message in OpenAI's format."""
        kind = "image_url" if isinstance(self.content, Image) else "audio_url"
        return {"type": kind, kind: {"url": self.url}}


@dataclass(frozen=True)
class Question:
    """What is asked at once: words, pictures and sounds."""

    text: str
    attachments: tuple[Attachment, ...] = ()

    @property
    def document(self) -> Document:
        """It as the model is asked it: pictures and sounds, then the words."""
        contents = [attachment.content for attachment in self.attachments]
        return Document(tuple(Part(content, "user") for content in [*contents, *([self.text] if self.text else [])]))

    def message(self) -> dict[str, Any]:
        """Return it as a message in OpenAI's format."""
        parts = [attachment.message_part() for attachment in self.attachments]
        return {"role": "user", "content": [*parts, {"type": "text", "text": self.text}] if parts else self.text}
