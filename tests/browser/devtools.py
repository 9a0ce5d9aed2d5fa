"""A headless Chromium for tests: one page, driven over the DevTools protocol. It has no network, and tells what it
asked for."""

from __future__ import annotations

import asyncio
import base64
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
INSTALL: Final = "no Chromium here: on Debian, apt install chromium (as root)"
START_TIMEOUT_S: Final = 60.0
ANSWER_TIMEOUT_S: Final = 60.0
FLAGS: Final = (
    "--headless=new",
    "--remote-debugging-port=0",
    "--disable-gpu",
    "--disable-extensions",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--no-default-browser-check",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND",
    "--window-size=1000,1300",
)


class PageError(Exception):
    """The page threw, or the browser refused."""


class Page:
    """One page. Every method waits for the browser's answer."""

    def __init__(self, loop: asyncio.AbstractEventLoop, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._loop = loop
        self._socket = socket
        self._numbers = 0
        self.requested: list[str] = []
        """URLs of all requests of the page."""
        self.complaints: list[str] = []
        """What the page wrote on its console as an error, and what it threw."""

    def open(self, path: Path) -> None:
        """Open a file and wait until it is loaded."""
        for domain in ("Page", "Runtime", "Network", "Log", "DOM"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.resolve().as_uri())
        while self.run("document.readyState + ' ' + location.protocol") != "complete file:":
            self._loop.run_until_complete(asyncio.sleep(0.01))

    def run(self, expression: str) -> Any:
        """Evaluate JavaScript and return its JSON value; promises are awaited.

        Raises:
            PageError: it threw.
        """
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        if "exceptionDetails" in answer:
            raise PageError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def choose_file(self, selector: str, path: Path) -> None:
        """Choose a file in a file input, as its dialog would."""
        root = self.call("DOM.getDocument")["root"]["nodeId"]
        node = self.call("DOM.querySelector", nodeId=root, selector=selector)["nodeId"]
        self.call("DOM.setFileInputFiles", nodeId=node, files=[str(path.resolve())])

    def screenshot(self, path: Path) -> None:
        """Write what the page looks like, as PNG."""
        path.write_bytes(base64.b64decode(self.call("Page.captureScreenshot", format="png")["data"]))

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the protocol."""
        return self._loop.run_until_complete(asyncio.wait_for(self._call(method, parameters), ANSWER_TIMEOUT_S))

    async def _call(self, method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        self._numbers += 1
        await self._socket.send_json({"id": self._numbers, "method": method, "params": parameters})
        while True:
            message = await self._socket.receive_json()
            if message.get("id") == self._numbers:
                if "error" in message:
                    raise PageError(f"{method}: {message['error']}")
                result: dict[str, Any] = message["result"]
                return result
            self._note(message)

    def _note(self, event: dict[str, Any]) -> None:
        given = event.get("params", {})
        match event.get("method"):
            case "Network.requestWillBeSent":
                self.requested.append(given["request"]["url"])
            case "Runtime.exceptionThrown":
                self.complaints.append(str(given["exceptionDetails"]))
            case "Log.entryAdded" if given["entry"]["level"] == "error":
                self.complaints.append(given["entry"]["text"])
            case _:
                pass


def executable() -> str:
    """Return the browser. Fails in words where there is none: these tests are never skipped."""
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise AssertionError(INSTALL)


@contextmanager
def browser() -> Iterator[Page]:
    """Start a browser with an empty profile; it ends with the block."""
    sandbox = () if os.geteuid() else ("--no-sandbox",)  # Chromium has none for root
    with tempfile.TemporaryDirectory(prefix="guildmark-browser-", ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [executable(), *FLAGS, *sandbox, f"--user-data-dir={profile}", "about:blank"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        loop = asyncio.new_event_loop()
        try:
            port = _port(process, Path(profile) / "DevToolsActivePort")
            session = loop.run_until_complete(_session())
            try:
                socket = loop.run_until_complete(_attach(session, port))
                yield Page(loop, socket)
                loop.run_until_complete(socket.close())
            finally:
                loop.run_until_complete(session.close())
        finally:
            process.terminate()
            process.wait(30)
            loop.close()


async def _session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession()


def _port(process: subprocess.Popen[bytes], file: Path) -> int:
    """Wait until the browser says where it listens."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise AssertionError(f"the browser ended with {process.returncode}")
        if file.is_file() and (lines := file.read_text().splitlines()):
            return int(lines[0])
        time.sleep(0.02)
    raise AssertionError("the browser does not say where it listens")


async def _attach(session: aiohttp.ClientSession, port: int) -> aiohttp.ClientWebSocketResponse:
    async with asyncio.timeout(START_TIMEOUT_S):
        while True:
            async with session.get(f"http://127.0.0.1:{port}/json/list") as answer:
                pages = [target for target in await answer.json(content_type=None) if target["type"] == "page"]
            if pages:
                return await session.ws_connect(pages[0]["webSocketDebuggerUrl"], max_msg_size=0)
            await asyncio.sleep(0.02)
