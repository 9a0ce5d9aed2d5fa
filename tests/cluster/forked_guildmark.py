"""`guildmark`, each command in a process of its own, without an interpreter's start for each.

Nine tenths of a short command's processor time are imports. A server that has imported the command line forks for every
command, which gets the caller's arguments, directory, environment and streams, and ends with its own exit code. What a
fork cannot show, that the program starts at all, is shown by the tests that start it: those of the README, and
`unit/test_guildmark_cli.py`.

    python forked_guildmark.py SOCKET [ARGUMENT ...]     run a command
    python forked_guildmark.py --serve SOCKET            serve until standard input ends
"""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

ROOT: Final = Path(__file__).resolve().parents[2]
REQUEST_BYTES_MAX: Final = 1_048_576
"""Arguments and environment of a command, as JSON."""
STREAMS: Final = 3
"""Standard input, output and error travel along."""


class Ended(NamedTuple):
    """What became of a command."""

    returncode: int
    stdout: str
    stderr: str


class ForkedGuildmark:
    """The server, started with the first command; it ends with this process at the latest."""

    def __init__(self) -> None:
        self._directory = tempfile.TemporaryDirectory(prefix="guildmark-fork-")
        self.path = Path(self._directory.name) / "socket"
        self._server: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it where it does not serve, and wait until it does."""
        if self._server is not None:
            return
        self._server = subprocess.Popen(
            [sys.executable, __file__, "--serve", str(self.path)],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._server.stdout is not None
        assert self._server.stdout.readline() == b"serving\n"

    def run(
        self, arguments: Sequence[str], directory: Path, environment: Mapping[str, str], timeout_s: float = 90.0
    ) -> Ended:
        """Run a command to its end; one that is not there in time is killed. Raises TimeoutError."""
        self.start()
        with tempfile.TemporaryFile() as output, tempfile.TemporaryFile() as errors, open(os.devnull, "rb") as nothing:
            streams = [nothing.fileno(), output.fileno(), errors.fileno()]
            code = _ask(self.path, arguments, directory, environment, streams, timeout_s)
            texts = []
            for file in (output, errors):
                file.seek(0)
                texts.append(file.read().decode("utf-8"))
        return Ended(code, *texts)

    def close(self) -> None:
        """End the server; what commands have left running in the background goes on."""
        if self._server is not None:
            assert self._server.stdin is not None
            self._server.stdin.close()
            self._server.wait(10)
            assert self._server.stdout is not None
            self._server.stdout.close()
            self._server = None
        self._directory.cleanup()


def _ask(
    path: Path,
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    streams: list[int],
    timeout_s: float | None,
) -> int:
    request = {"arguments": list(arguments), "directory": str(directory), "environment": dict(environment)}
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as line:
        line.settimeout(timeout_s)
        line.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, REQUEST_BYTES_MAX)
        line.connect(str(path))
        socket.send_fds(line, [json.dumps(request).encode()], streams)
        answer = line.recv(16)
    assert answer, "the command's process was killed"
    return int(answer)


# The server


def serve(path: Path) -> None:
    """Fork for every command until standard input ends."""
    import gc
    from importlib import import_module

    from guildmark.cli.main import COMMANDS

    for module in (*(where.partition(":")[0] for where in COMMANDS.values()), *_USED_BY_MOST):
        import_module(module)
    gc.collect()
    gc.freeze()  # a child's collector would else write to, and so copy, every page
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as door:
        door.bind(str(path))
        door.listen(16)
        sys.stdout.write("serving\n")
        sys.stdout.flush()
        while True:
            ready, _, _ = select.select([door, sys.stdin], [], [])
            if sys.stdin in ready:
                return
            line, _ = door.accept()
            with line:
                _answer(line, door)
            _reap()


_USED_BY_MOST: Final = (
    "argon2.low_level",
    "cryptography.hazmat.primitives.ciphers.aead",
    "guildmark.cluster.joining",
    "guildmark.cluster.local",
    "guildmark.sync",
    "guildmark.wallet",
)


def _reap() -> None:
    """Take note of children that have ended."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        pass


def _answer(line: socket.socket, door: socket.socket) -> None:
    """Have a child wait for the command's end, so that the next is served meanwhile."""
    data, streams, _, _ = socket.recv_fds(line, REQUEST_BYTES_MAX, STREAMS)
    if os.fork():
        for stream in streams:
            os.close(stream)
        return
    door.close()
    command = os.fork()
    if command == 0:
        line.close()
        _become(json.loads(data), streams)
    for stream in streams:
        os.close(stream)
    ended = os.pidfd_open(command)
    if ended not in select.select([ended, line], [], [])[0]:
        os.kill(command, signal.SIGKILL)  # nobody waits for it any more
    _, status = os.waitpid(command, 0)
    line.send(str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


def _become(request: dict[str, Any], streams: list[int]) -> NoReturn:
    """Be the command."""
    code = 70  # of a fault in here
    try:
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
            os.close(stream)
        os.setsid()
        os.chdir(request["directory"])
        os.environ.clear()
        os.environ.update(request["environment"])
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115 - to the process's end
        sys.argv = ["guildmark", *request["arguments"]]
        from guildmark.cli.main import main

        main(request["arguments"])
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(code)


if __name__ == "__main__":
    if sys.argv[1] == "--serve":
        serve(Path(sys.argv[2]))
    else:
        sys.exit(_ask(Path(sys.argv[1]), sys.argv[2:], Path.cwd(), os.environ, [0, 1, 2], None))
