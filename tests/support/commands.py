"""Running the command line as a user does: in its own process, with pipes or in a terminal"""

from __future__ import annotations

import json
import os
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

COMMAND = [sys.executable, '-W', 'error', '-m', 'requests_cache']
PATIENCE_SECONDS = 120


class Done(NamedTuple):
    """The result of a command"""

    status: int
    out: str
    err: str = ''

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def environment(given: dict[str, str] | None) -> dict[str, str]:
    ignored = ('COLUMNS', 'FORCE_COLOR', 'LINES', 'NO_COLOR')
    return {**{name: value for name, value in os.environ.items() if name not in ignored}, **(given or {})}


def run(*arguments: object, answer: str = '', env: dict[str, str] | None = None) -> Done:
    """Run a command with pipes"""
    done = subprocess.run(
        [*COMMAND, *map(str, arguments)],
        input=answer.encode(),
        capture_output=True,
        env=environment(env),
        timeout=PATIENCE_SECONDS,
    )
    return Done(done.returncode, done.stdout.decode(), done.stderr.decode())


def succeed(*arguments: object, **kwargs: Any) -> Done:
    """Run a command, and check that it succeeds"""
    done = run(*arguments, **kwargs)
    assert done.status == 0, done
    return done


def run_in_terminal(
    *arguments: object,
    at: str = '',
    send: str | signal.Signals = '',
    columns: int = 80,
    env: dict[str, str] | None = None,
) -> Done:
    """Run a command whose input, output and errors are one terminal

    Args:
        arguments: The arguments of the command
        at: Text to wait for
        send: Text to type then, or a signal to send
        columns: Width of the terminal
        env: Additional environment variables
    """
    import fcntl
    import pty
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack('HHHH', 24, columns, 0, 0))
    variables = {'TERM': 'xterm-256color', **(env or {})}
    with _interruptible():
        process = subprocess.Popen(
            [*COMMAND, *map(str, arguments)], stdin=theirs, stdout=theirs, stderr=theirs, env=environment(variables)
        )
    os.close(theirs)
    written = b''
    try:
        while data := _read(ours):
            written += data
            if at and at.encode() in written:
                at = ''
                if isinstance(send, signal.Signals):
                    process.send_signal(send)
                else:
                    os.write(ours, send.encode())
    finally:
        try:
            status = process.wait(PATIENCE_SECONDS)
        finally:
            process.kill()
            process.wait()
            os.close(ours)
    return Done(status, written.decode())


@contextmanager
def _interruptible() -> Iterator[None]:
    """A block whose new processes can be interrupted, even if SIGINT is ignored here, as in background jobs"""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # raised on Linux when the terminal is closed
        return b''
