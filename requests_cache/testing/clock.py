"""A clock that tests move by hand"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from typing import Any

from ..exceptions import MissingDependencyError


class ManualClock:
    """The time of this process, which stands still until the test moves it

        with ManualClock() as clock:
            session.get(url, expire_after=60)
            clock.advance(61)
            assert not session.get(url).from_cache

    `datetime.now()`, `time.time()` and similar functions return this time everywhere in the process. The clock of a
    server that runs elsewhere does not change, and `time.sleep()` takes as long as usual. Needs the library
    time-machine.

    Args:
        start: The time at which it starts; by default the current time. A time without a zone is in UTC.

    Raises:
        MissingDependencyError: time-machine is not installed
    """

    def __init__(self, start: datetime | None = None):
        try:
            import time_machine
        except ModuleNotFoundError as e:
            raise MissingDependencyError('ManualClock', 'time-machine', 'testing') from e
        self._travel = time_machine.travel(_in_utc(start or datetime.now(timezone.utc)), tick=False)
        self._traveller: Any = None

    @property
    def now(self) -> datetime:
        """The current time of the clock, in UTC"""
        return datetime.now(timezone.utc)

    def advance(self, by: float | timedelta) -> None:
        """Move the clock by a number of seconds or a timedelta; a negative one moves it back"""
        self._started.shift(by)

    def move_to(self, moment: datetime) -> None:
        """Set the clock to a time; a time without a zone is in UTC"""
        self._started.move_to(_in_utc(moment), tick=False)

    @property
    def _started(self) -> Any:
        if self._traveller is None:
            raise RuntimeError('The clock can only be moved inside its `with` block')
        return self._traveller

    def __enter__(self) -> ManualClock:
        self._traveller = self._travel.start()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._traveller = None
        self._travel.stop()


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=timezone.utc)
