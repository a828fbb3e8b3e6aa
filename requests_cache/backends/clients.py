"""The base of backends on servers: keeps the driver's client, and translates the driver's errors"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from os import getpid
from types import TracebackType
from typing import Any, NamedTuple

from ..exceptions import BackendError, BackendUnavailableError, CacheError
from ..keys.shown import shown_error, shown_text


class Fault(NamedTuple):
    """What an exception of a driver means

    Args:
        unavailable: The server cannot be reached, or does not respond in time
        advice: What to do about it; None for the usual advice about unreachable servers
        reason: What happened; None for the text of the exception
    """

    unavailable: bool
    advice: str | None = ''
    reason: str | None = None


class ServerConnection(ABC):
    """Holds the caller's client, or creates one on first use, and again after `close` or a fork

    Subclasses define how a client is created and closed, where its server is, and what the driver's exceptions mean.

    Args:
        client: The caller's client, which is never closed here; None to create one
    """

    # Name of the server, the keywords for its address, and the first question to ask if it cannot be reached
    server: str
    keywords: str
    question = 'is it running?'

    _clients: dict[int, Any]

    def __init__(self, client: Any = None):
        self._callers_client = client
        self.__dict__.update(self._local_state())

    def _local_state(self) -> dict[str, Any]:
        """Initial values of the attributes that are not copied or pickled"""
        # Clients by process ID, as a child process must neither use nor close its parent's sockets
        return {'_clients': {}}

    @abstractmethod
    def _make_client(self) -> Any:
        """Create a client; if several threads do so at the same time, all but one of the clients are closed again"""

    def _close_client(self, client: Any) -> None:
        client.close()

    @abstractmethod
    def _where(self) -> str:
        """Name and address of the server, without contacting it"""

    @abstractmethod
    def _fault(self, error: Exception) -> Fault | None:
        """What an exception means; None if it is not an exception of the driver"""

    @property
    def owns_client(self) -> bool:
        """Whether the client was created here, and may be closed"""
        return self._callers_client is None

    @property
    def client(self) -> Any:
        """The caller's client, or our own, which is created if necessary"""
        if self._callers_client is not None:
            return self._callers_client
        pid = getpid()
        client = self._clients.get(pid)
        if client is None:
            # Without a lock: if the server is down, threads should not wait for each other's failures
            made = self._make_client()
            client = self._clients.setdefault(pid, made)
            if client is not made:
                self._close_client(made)
        return client

    @property
    def known_client(self) -> Any:
        """The client, or None if it has not been created yet"""
        return self._clients.get(getpid()) if self._callers_client is None else self._callers_client

    def close(self) -> None:
        """Close our own client; the next use creates another"""
        client = self._clients.pop(getpid(), None)
        if client is not None:
            self._close_client(client)

    def use(self, client: Any) -> None:
        """Use the caller's client from now on"""
        self.close()
        self._callers_client = client

    def __getstate__(self) -> dict[str, Any]:
        if self._callers_client is not None:
            raise TypeError(
                f'A cache with a {self.server} client that was passed in cannot be copied or sent to another process, '
                f'because the client cannot; pass {self.keywords} and the like instead, so that the cache creates one'
            )
        local = self._local_state()
        return {name: value for name, value in self.__dict__.items() if name not in local}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.update(self._local_state())

    def calling(self, purpose: str) -> AbstractContextManager[None]:
        """A block that calls the driver; its exceptions are translated to ours

        Args:
            purpose: What the block does, for the message, such as 'read from it'

        Raises:
            BackendUnavailableError: The server cannot be reached, or does not respond in time
            BackendError: The driver raised any other exception
        """
        return _Calls(self, purpose)

    def translate(self, error: BaseException, purpose: str) -> BackendError | None:
        """Translate an exception of the driver to one of this package; None if it is not an exception of the driver"""
        if isinstance(error, CacheError) or not isinstance(error, Exception):
            return None
        fault = self._fault(error)
        if fault is None:
            return None
        advice = fault.advice
        if advice is None:
            advice = (
                f'{self.question} Check {self.keywords if self.owns_client else "the client passed as connection="}'
            )
        what = f' cannot be reached to {purpose}' if fault.unavailable else f': could not {purpose}'
        return as_backend_error(error, self.where + what, fault._replace(advice=advice))

    @property
    def where(self) -> str:
        """Name of the server, and its address if the client reveals it"""
        try:
            return self._where()
        except Exception:  # a mock of a client may lack the attributes
            return self.server


class _Calls:
    def __init__(self, connection: ServerConnection, purpose: str):
        self._connection = connection
        self._purpose = purpose

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type | None, error: BaseException | None, traceback: TracebackType | None) -> None:
        if error is not None and (ours := self._connection.translate(error, self._purpose)) is not None:
            raise ours from error


def as_backend_error(error: BaseException, where: str, fault: Fault) -> BackendError:
    """Translate an exception of a driver; the message is one line without secrets

    Args:
        error: The exception that the driver raised
        where: The store, and what could not be done
        fault: What the exception means
    """
    kind = BackendUnavailableError if fault.unavailable else BackendError
    # The text of built-in exceptions often makes no sense without their type
    is_builtin = type(error).__module__ == 'builtins' and not isinstance(error, OSError)
    reason = fault.reason or (not is_builtin and str(error)) or shown_error(error)
    text = ' '.join(f'{where}: {reason}'.split()).rstrip('.')
    return kind(shown_text(f'{text}; {fault.advice}' if fault.advice else text))
