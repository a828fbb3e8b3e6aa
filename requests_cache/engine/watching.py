"""Counters, subscribers and the log, which are notified of what a session does"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from logging import DEBUG, WARNING, getLogger
from threading import local
from typing import TYPE_CHECKING, Any

from ..keys.shown import shown_error, shown_key, shown_traceback, shown_url
from ..policy.expiration import utcnow
from .statistics import Counters

if TYPE_CHECKING:
    from .events import Event, Subscriber

logger = getLogger(__name__)


class _Telling(local):
    now = False


class _Subscription:
    """A function that is called with each event, except for those that it causes itself

    Its first exception is logged as a warning. There is no lock, as operations on dicts are atomic.
    """

    def __init__(self, function: Subscriber):
        self._function = function
        self._failures: dict[str, object] = {}
        # In this thread
        self._telling = _Telling()

    def tell(self, event: Event) -> None:
        if self._telling.now:  # the function makes requests, so calling it would not end
            return
        self._telling.now = True
        try:
            self._function(event)
        except Exception as e:
            self._report(e)
        finally:
            self._telling.now = False

    def _report(self, error: Exception) -> None:
        failure = object()
        is_first = self._failures.setdefault('first', failure) is failure
        name = getattr(self._function, '__qualname__', type(self._function).__qualname__)
        logger.log(WARNING if is_first else DEBUG, 'The subscriber %s failed: %s', name, shown_error(error))
        if logger.isEnabledFor(DEBUG):
            logger.debug('The failure:\n%s', shown_traceback(error))


class Watch:
    """The counters and subscribers of one session, or of all sessions of an installation

    Subscribers are called one after another, in the thread in which the event happens.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._subscriptions: dict[_Subscription, None] = {}

    @property
    def is_on(self) -> bool:
        """Whether there are subscribers; otherwise no events are created"""
        return bool(self._subscriptions) or logger.isEnabledFor(DEBUG)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Call a function with each event; returns a function that ends this

        Raises:
            TypeError: The subscriber is not callable
        """
        if not callable(subscriber):
            raise TypeError(f'A subscriber must be a function that takes an event, not {subscriber!r}')
        subscription = _Subscription(subscriber)
        self._subscriptions[subscription] = None

        def unsubscribe() -> None:
            self._subscriptions.pop(subscription, None)

        return unsubscribe

    def emit(self, kind: str, request: Any, ignored_parameters: Iterable[str] | None, **fields: Any) -> None:
        """Notify the subscribers of an event

        Args:
            kind: The value of an `EventKind`
            request: The request, prepared or stored; None if there is none
            ignored_parameters: Names of secrets, which are removed from the URL
            fields: Further fields of the `Event`; `expires` as a time, `error` as an exception
        """
        if not self.is_on:
            return
        from .events import Event, EventKind

        expires: datetime | None = fields.get('expires')
        error = fields.pop('error', None)
        event = Event(
            kind=EventKind(kind),
            method=getattr(request, 'method', None),
            url=_encodable(shown_url(request.url, ignored_parameters)) if request is not None else None,
            key=_encodable(shown_key(key)) if (key := fields.pop('key', None)) is not None else None,
            freshness_left=(expires - utcnow()).total_seconds() if expires is not None else None,
            error=_encodable(shown_error(error, ignored_parameters)) if error is not None else None,
            **fields,
        )
        logger.debug('%s', event)
        for subscription in list(self._subscriptions):
            subscription.tell(event)

    def __reduce__(self) -> tuple[type[Watch], tuple[()]]:
        return Watch, ()


def _encodable(text: str) -> str:
    """Escape characters that UTF-8 cannot encode, such as lone surrogates in keys, so that a log can write them"""
    return text if text.isascii() else text.encode('utf-8', 'backslashreplace').decode()
