"""Short questions to a node over plain HTTP, with nothing that takes long to import."""

from __future__ import annotations

import http.client
from typing import Any
from urllib.parse import urlsplit

import msgspec

PROBE_TIMEOUT_S = 2.0
PROBE_BYTES_MAX = 4 * 1024 * 1024


def get(url: str, path: str, timeout_s: float = PROBE_TIMEOUT_S) -> tuple[int, bytes] | None:
    """Status and body of a GET; None when the node does not answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", path, headers={"Connection": "close"})
        response = connection.getresponse()
        return response.status, response.read(PROBE_BYTES_MAX)
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def get_json(url: str, path: str, timeout_s: float = PROBE_TIMEOUT_S) -> dict[str, Any] | None:
    """The JSON object that a node answers with status 200; None when it does not."""
    answer = get(url, path, timeout_s)
    if answer is None or answer[0] != 200:
        return None
    try:
        return msgspec.json.decode(answer[1], type=dict[str, Any])
    except msgspec.MsgspecError:
        return None


def is_ready(url: str) -> bool:
    """Tell whether a node says that it takes part."""
    answer = get(url, "/readyz")
    return answer is not None and answer[0] == 200


def why_not_ready(url: str) -> str:
    """What a node says about why it is not ready, for people."""
    answer = get(url, "/readyz")
    return "no answer" if answer is None else answer[1].decode("utf-8", "replace").strip()[:500]
