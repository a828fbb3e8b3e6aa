"""Common code of the backends on servers: keeping a client, and translating the errors of its driver"""

from __future__ import annotations

from abc import ABC, abstractmethod
from contextlib import AbstractContextManager
from os import getpid
from types import TracebackType
from typing import Any, NamedTuple

from ..exceptions import BackendError, BackendUnavailableError, CacheError
from ..keys.shown import shown_error, shown_text


class Fault(NamedTuple):
    """The meaning of an exception of a driver

    Args:
        unavailable: The server cannot be reached, or does not answer in time
        advice: What the user can do; None for the default advice about servers that cannot be reached
        reason: What happened; None for the message of the exception
    """

    unavailable: bool
    advice: str | None = ''
    reason: str | None = None


class ServerConnection(ABC):
    """A client that was passed in, or our own client, which is created on first use, and again after `close` or a fork

    Subclasses define how a client is created and closed, where its server is, and what the driver's exceptions mean.

    Args:
        client: A client that belongs to the caller, and is never closed here; None to create one
    """

    # Name of the server, the keywords for its address, and the first question in errors if it cannot be reached
    server: str
    keywords: str
    question = 'is it running?'

    _clients: dict[int, Any]

    def __init__(self, client: Any = None):
        self._given = client
        self.__dict__.update(self._local_state())

    def _local_state(self) -> dict[str, Any]:
        """The initial values of attributes that are not copied or sent to other processes"""
        # By process, as a child must not use its parent's sockets, nor close them
        return {'_clients': {}}

    @abstractmethod
    def _make_client(self) -> Any:
        """Create a client; several threads may do so at the same time, and only one of their clients is kept"""

    def _close_client(self, client: Any) -> None:
        client.close()

    @abstractmethod
    def _where(self) -> str:
        """Name and address of the server, without connecting to it"""

    @abstractmethod
    def _fault(self, error: Exception) -> Fault | None:
        """The meaning of an exception; None if it is not one of the driver's"""

    @property
    def is_own(self) -> bool:
        """Whether the client is our own, so that it may be closed"""
        return self._given is None

    @property
    def client(self) -> Any:
        """The client that was passed in or created"""
        if self._given is not None:
            return self._given
        pid = getpid()
        client = self._clients.get(pid)
        if client is None:
            # Without a lock, so that threads do not wait for each other's failures if there is no server
            made = self._make_client()
            client = self._clients.setdefault(pid, made)
            if client is not made:
                self._close_client(made)
        return client

    @property
    def known_client(self) -> Any:
        """The client, or None if it has not been created yet"""
        return self._clients.get(getpid()) if self._given is None else self._given

    def close(self) -> None:
        """Close our own client; the next use creates another one"""
        client = self._clients.pop(getpid(), None)
        if client is not None:
            self._close_client(client)

    def use(self, client: Any) -> None:
        """Use a client of the caller from now on"""
        self.close()
        self._given = client

    def __getstate__(self) -> dict[str, Any]:
        if self._given is not None:
            raise TypeError(
                f'A cache with a {self.server} client that was passed to it cannot be copied or sent to another '
                f'process, as the client cannot; have the cache make one, by {self.keywords} and the like'
            )
        local = self._local_state()
        return {name: value for name, value in self.__dict__.items() if name not in local}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.__dict__.update(self._local_state())

    def calling(self, purpose: str) -> AbstractContextManager[None]:
        """A block with calls to the driver, whose exceptions are translated

        Args:
            purpose: Purpose of the calls, for the message

        Raises:
            BackendUnavailableError: The server cannot be reached, or does not answer in time
            BackendError: Any other exception of the driver
        """
        return _Calls(self, purpose)

    def translate(self, error: BaseException, purpose: str) -> BackendError | None:
        """Translate an exception of the driver to one of this package; None if it is not one of the driver's"""
        if isinstance(error, CacheError) or not isinstance(error, Exception):
            return None
        fault = self._fault(error)
        if fault is None:
            return None
        advice = fault.advice
        if advice is None:
            advice = f'{self.question} Check {self.keywords if self.is_own else "the client passed as connection="}'
        what = f' cannot be reached to {purpose}' if fault.unavailable else f': could not {purpose}'
        return as_backend_error(error, self.where + what, fault._replace(advice=advice))

    @property
    def where(self) -> str:
        """Name and address of the server, as far as the client knows them"""
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
    """Translate an exception of a driver to one of this package, with a message of one line without secrets

    Args:
        error: The exception of the driver, which becomes the cause
        where: The store, and the operation that failed
        fault: The meaning of the exception
    """
    kind = BackendUnavailableError if fault.unavailable else BackendError
    # The message of a builtin exception is often unclear without its type
    is_of_python = type(error).__module__ == 'builtins' and not isinstance(error, OSError)
    reason = fault.reason or (not is_of_python and str(error)) or shown_error(error)
    text = ' '.join(f'{where}: {reason}'.split()).rstrip('.')
    return kind(shown_text(f'{text}; {fault.advice}' if fault.advice else text))
