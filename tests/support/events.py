"""What subscribers are told, kept for the test to look at"""

from __future__ import annotations

from collections.abc import Callable

from requests_cache import CachedSession
from requests_cache.engine.events import Event


class Told(list[Event]):
    """All events of a session from now on

    told = Told(session)
    session.get(url)
    assert told.texts() == ['stored', 'miss: not stored']
    """

    def __init__(self, session: CachedSession):
        super().__init__()
        self.unsubscribe: Callable[[], None] = session.subscribe(self.append)

    def texts(self) -> list[str]:
        """Kind and reason of each, and forget them all"""
        texts = [f'{event.kind}: {event.reason}' if event.reason else str(event.kind) for event in self]
        self.clear()
        return texts

    def results(self) -> list[str]:
        """The kinds in which exchanges have ended"""
        return [str(event.kind) for event in self if event.kind.is_result]

    def only(self, kind: str) -> Event:
        """The one event of a kind"""
        events = [event for event in self if event.kind == kind]
        assert len(events) == 1, [str(event) for event in self]
        return events[0]
