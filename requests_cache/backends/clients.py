"""What backends on servers have in common: a client that is kept, and the driver's errors in our words"""

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
        unavailable: The server cannot be reached, or does not answer in time
        advice: What can be done about it; None for what helps with servers that cannot be reached
        reason: What has happened; None for the text of the exception
    """

    unavailable: bool
    advice: str | None = ''
    reason: str | None = None


class ServerConnection(ABC):
    """A client that was passed in, or one of ours, which is made on its first use, and again after `close` or a fork

    Subclasses say how a client is made and closed, where its server is, and what the driver's exceptions mean.

    Args:
        client: A client of the caller's, which is never closed here; None to make one
    """

    # Name of the server, the keywords that say where it is, and what to ask first if it cannot be reached
    server: str
    keywords: str
    question = 'is it running?'

    _clients: dict[int, Any]

    def __init__(self, client: Any = None):
        self._given = client
        self.__dict__.update(self._local_state())

    def _local_state(self) -> dict[str, Any]:
        """Attributes that are not copied or sent to other processes, as they are at first"""
        # By process, as a child must not use its parent's sockets, nor close them
        return {'_clients': {}}

    @abstractmethod
    def _make_client(self) -> Any:
        """Make a client; threads may do so at the same time, and all but one of their clients are closed again"""

    def _close_client(self, client: Any) -> None:
        client.close()

    @abstractmethod
    def _where(self) -> str:
        """The server and where it is, without asking it"""

    @abstractmethod
    def _fault(self, error: Exception) -> Fault | None:
        """What an exception means; None if it is not the driver's"""

    @property
    def is_own(self) -> bool:
        """Whether the client is ours to close"""
        return self._given is None

    @property
    def client(self) -> Any:
        """The client as it was passed in or made"""
        if self._given is not None:
            return self._given
        pid = getpid()
        client = self._clients.get(pid)
        if client is None:
            # Without a lock: threads that find no server should not wait for each other's failures
            made = self._make_client()
            client = self._clients.setdefault(pid, made)
            if client is not made:
                self._close_client(made)
        return client

    @property
    def known_client(self) -> Any:
        """The client, or None if it has not been made yet"""
        return self._clients.get(getpid()) if self._given is None else self._given

    def close(self) -> None:
        """Close a client of ours; the next use makes another"""
        client = self._clients.pop(getpid(), None)
        if client is not None:
            self._close_client(client)

    def use(self, client: Any) -> None:
        """Go on with a client of the caller's"""
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
        """A block with calls of the driver, whose exceptions are raised as ours

        Args:
            purpose: What is being done, for the message

        Raises:
            BackendUnavailableError: The server cannot be reached, or does not answer in time
            BackendError: Anything else that the driver says
        """
        return _Calls(self, purpose)

    def translate(self, error: BaseException, purpose: str) -> BackendError | None:
        """The exception of this package that stands for one of the driver; None if it is not the driver's"""
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
        """The server and where it is, as far as the client tells"""
        try:
            return self._where()
        except Exception:  # a stand-in for a client may lack what tells
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
    """The exception of this package that stands for one of a driver, with a message of one line without secrets

    Args:
        error: What the driver raised; it is to be the cause
        where: The store, and what could not be done
        fault: What the exception means
    """
    kind = BackendUnavailableError if fault.unavailable else BackendError
    # What exceptions of Python say can often not be understood without their type
    is_of_python = type(error).__module__ == 'builtins' and not isinstance(error, OSError)
    reason = fault.reason or (not is_of_python and str(error)) or shown_error(error)
    text = ' '.join(f'{where}: {reason}'.split()).rstrip('.')
    return kind(shown_text(f'{text}; {fault.advice}' if fault.advice else text))
