"""Pictures and sounds behind web addresses: opened only where that is allowed, and never inside a private network."""

import asyncio
import base64
import ipaddress
import socket
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx

from castalia.serve.errors import ApiError

MOST_BYTES, MOST_SECONDS, MOST_REDIRECTS, MOST_ADDRESSES = 32 << 20, 20.0, 3, 16


async def opened(messages: list[dict[str, Any]], allowed: bool) -> list[dict[str, Any]]:
    """Return messages in OpenAI's format in which what stood behind web addresses stands itself, as data: addresses.

    Raises ApiError if that is not allowed, an address is not public, or nothing can be had there.
    """
    found = [(part, kind) for message in messages for part in _parts(message) if (kind := _web(part))]
    if not found:
        return messages
    if not allowed:
        message = "web addresses are not opened here: send the picture itself as a data: address"
        raise ApiError(message, code="url_not_allowed")
    if len(found) > MOST_ADDRESSES:
        raise ApiError(f"{len(found)} web addresses are too many: at most {MOST_ADDRESSES}")
    contents = await asyncio.gather(*(fetch(_address(part[kind])) for part, kind in found))
    for (part, kind), address in zip(found, contents, strict=True):
        part[kind] = {"url": address}
    return messages


def _parts(message: dict[str, Any]) -> list[dict[str, Any]]:
    content = message.get("content")
    return [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []


def _address(value: Any) -> str:
    url = value.get("url") if isinstance(value, dict) else value
    return url if isinstance(url, str) else ""


def _web(part: dict[str, Any]) -> str | None:
    kind = part.get("type")
    is_web = kind in ("image_url", "audio_url") and _address(part.get(kind)).lower().startswith(("http:", "https:"))
    return kind if is_web else None


async def fetch(address: str) -> str:
    """Return what stands at a public http(s) address as a data: address. Raises ApiError if it cannot be had."""
    try:
        async with asyncio.timeout(MOST_SECONDS), httpx.AsyncClient(trust_env=False) as client:
            for _ in range(MOST_REDIRECTS + 1):
                request = await _request(client, address)
                response = await client.send(request, stream=True)
                try:
                    if not response.has_redirect_location:
                        response.raise_for_status()
                        return await _data(response)
                    address = urljoin(address, response.headers["location"])
                finally:
                    await response.aclose()
    except TimeoutError as error:
        raise ApiError(f"{address[:200]} takes longer than {MOST_SECONDS:.0f} s", code="invalid_image_url") from error
    except (httpx.HTTPError, httpx.InvalidURL, OSError, ValueError) as error:
        message = f"{address[:200]} cannot be opened: {str(error) or type(error).__name__}"
        raise ApiError(message, code="invalid_image_url") from error
    raise ApiError(f"{address[:200]} leads from one address to another without end", code="invalid_image_url")


async def _request(client: httpx.AsyncClient, address: str) -> httpx.Request:
    """Return a request to the very IP address that was looked at, lest the name mean another one the next moment."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ApiError(f"{address[:200]} is no web address", code="invalid_image_url")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    known = await asyncio.get_running_loop().getaddrinfo(parts.hostname, port, type=socket.SOCK_STREAM)
    for *_, (ip, *_) in known:
        if not ipaddress.ip_address(str(ip).partition("%")[0]).is_global:
            raise ApiError(f"{parts.hostname} is not a public address", code="url_not_allowed")
    host = str(known[0][4][0])
    url = httpx.URL(address).copy_with(host=host, fragment=None)
    extensions = {"sni_hostname": parts.hostname}
    return client.build_request("GET", url, headers={"Host": parts.netloc.rpartition("@")[2]}, extensions=extensions)


async def _data(response: httpx.Response) -> str:
    content = bytearray()
    async for chunk in response.aiter_bytes():
        content += chunk
        if len(content) > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
    kind = response.headers.get("content-type", "").partition(";")[0].strip() or "application/octet-stream"
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
