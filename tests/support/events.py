"""Recording the events of a session"""

from __future__ import annotations

from collections.abc import Callable

from requests_cache import CachedSession
from requests_cache.engine.events import Event


class EventLog(list[Event]):
    """A list of all events of a session, from now on

    told = EventLog(session)
    session.get(url)
    assert told.texts() == ['stored', 'miss: not stored']
    """

    def __init__(self, session: CachedSession):
        super().__init__()
        self.unsubscribe: Callable[[], None] = session.subscribe(self.append)

    def texts(self) -> list[str]:
        """The kind and reason of each event; afterwards, the list is empty"""
        texts = [f'{event.kind}: {event.reason}' if event.reason else str(event.kind) for event in self]
        self.clear()
        return texts

    def results(self) -> list[str]:
        """The kinds of the events that are the result of a request"""
        return [str(event.kind) for event in self if event.kind.is_result]

    def only(self, kind: str) -> Event:
        """The event of a kind, of which there must be exactly one"""
        events = [event for event in self if event.kind == kind]
        assert len(events) == 1, [str(event) for event in self]
        return events[0]
