"""Who is told what a session does: counters, subscribers, and the log"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from logging import DEBUG, WARNING, getLogger
from typing import TYPE_CHECKING, Any

from ..keys.shown import shown_error, shown_key, shown_traceback, shown_url
from ..policy.expiration import utcnow
from .statistics import Counters

if TYPE_CHECKING:
    from .events import Event, Subscriber

logger = getLogger(__name__)


class _Subscription:
    """A function that is called with each event; what it raises is logged once"""

    def __init__(self, function: Subscriber):
        self._function = function
        self._has_failed = False

    def tell(self, event: Event) -> None:
        try:
            self._function(event)
        except Exception as e:
            name, level = (
                getattr(self._function, '__qualname__', self._function),
                DEBUG if self._has_failed else WARNING,
            )
            self._has_failed = True
            logger.log(level, 'The subscriber %s failed: %s', name, shown_error(e))
            logger.debug('The failure:\n%s', shown_traceback(e))


class Watch:
    """The counters and subscribers of one session, or of all sessions of an installation

    Subscribers are called one after the other, in the thread in which something happens.
    """

    def __init__(self) -> None:
        self.counters = Counters()
        self._subscriptions: tuple[_Subscription, ...] = ()

    @property
    def is_on(self) -> bool:
        """Whether anybody wants to know; nothing is made of an event otherwise"""
        return bool(self._subscriptions) or logger.isEnabledFor(DEBUG)

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have a function called with each event, until the function that is returned is called

        Raises:
            TypeError: It cannot be called
        """
        if not callable(subscriber):
            raise TypeError(f'A subscriber must be a function that takes an event, not {subscriber!r}')
        own = _Subscription(subscriber)
        self._subscriptions = (*self._subscriptions, own)

        def unsubscribe() -> None:
            self._subscriptions = tuple(other for other in self._subscriptions if other is not own)

        return unsubscribe

    def emit(self, kind: str, request: Any, ignored_parameters: Iterable[str] | None, **fields: Any) -> None:
        """Tell what happened

        Args:
            kind: The value of an `EventKind`
            request: The request, prepared or stored; None if there is none
            ignored_parameters: Names of secrets, which the URL is shown without
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
            url=shown_url(request.url, ignored_parameters) if request is not None else None,
            key=shown_key(key) if (key := fields.pop('key', None)) is not None else None,
            freshness_left=(expires - utcnow()).total_seconds() if expires is not None else None,
            error=shown_error(error, ignored_parameters) if error is not None else None,
            **fields,
        )
        logger.debug('%s', event)
        for subscription in self._subscriptions:
            subscription.tell(event)

    def __reduce__(self) -> tuple[type[Watch], tuple[()]]:
        return Watch, ()
