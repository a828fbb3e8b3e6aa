"""Background refreshes that run when a test says so"""

from __future__ import annotations

from unittest import mock

from ..engine.refreshing import Refreshing


class ManualExecutor:
    """Holds back the background refreshes of all sessions, until the test runs them in its own thread

        session = CachedSession(stale_while_revalidate=True)
        session.get(url, expire_after=1)
        with ManualClock() as clock, ManualExecutor() as background:
            clock.advance(5)
            assert session.get(url).from_cache
            assert background.waiting == [url]
            background.run()

    As usual, an entry waits only once however often it is requested, and failures are logged. Refreshes that still wait
    at the end of the block are discarded.
    """

    def __init__(self) -> None:
        # In the order in which they were first used
        self._used: dict[Refreshing, None] = {}

        def hold(refreshing: Refreshing) -> None:
            self._used.setdefault(refreshing)

        self._patch = mock.patch.object(Refreshing, '_thread', hold)

    @property
    def waiting(self) -> list[str]:
        """URLs of the responses that wait to be refreshed, in order"""
        return [str(job.url) for refreshing in self._used for job in list(refreshing._waiting)]

    def run(self) -> int:
        """Run all refreshes that wait, and those that are added meanwhile; returns how many were waiting"""
        count = len(self.waiting)
        for refreshing in list(self._used):
            refreshing._work()
        return count

    def __enter__(self) -> ManualExecutor:
        self._patch.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._patch.stop()
        for refreshing in self._used:
            refreshing.stop()
        self._used.clear()
