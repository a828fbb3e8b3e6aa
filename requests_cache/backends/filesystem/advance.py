"""Room that is reserved in the index for future files, as a transaction for each would take as long as its file"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ..eviction import NOTHING, Bounds, Usage
from .directory import Measured

# Room is reserved for so many files of the size of the first one, unless that is too large. Each reservation is at most
# 1/16 of what the cache may hold, and all reservations together are at most 1/8.
FILES_IN_ADVANCE = 16
LARGEST_IN_ADVANCE_BYTES = 256 * 1024
ADVANCE_ONE_IN, ADVANCES_ONE_IN = 16, 8
# Reservations end after that, long before other processes may take this one for dead
ADVANCE_SECONDS = 600.0


class Advance:
    """Room that this process has reserved for future files, and the files that were written since

    Args:
        owner: Name of the reservation; empty if there is none
        room: How much is reserved
        index_file: What identifies the file of the index
    """

    def __init__(self, owner: str = '', room: Usage = NOTHING, index_file: tuple[int, ...] | None = None):
        self.owner = owner
        self._room = room
        self.index_file = index_file
        self._end = monotonic() + ADVANCE_SECONDS
        # None for files that may or may not have been written
        self.files: dict[str, Measured | None] = {}
        self.n_written = 0

    def has_room(self, n_bytes: int, index_file: tuple[int, ...] | None) -> bool:
        """Whether there is room for a file, and the index is still the one with the reservation"""
        return (
            self._room.n_entries > 0
            and self._room.n_bytes >= n_bytes
            and self.index_file in (None, index_file)
            and monotonic() < self._end
        )

    def put(self, key: str, measured: Measured, put: Callable[[], None]) -> None:
        """Move a file into place, and subtract it from the room"""
        self._room = Usage(self._room.n_bytes - measured.n_bytes, self._room.n_entries - 1)
        self.n_written += 1
        self.files[key] = None
        put()
        self.files[key] = measured

    def measure_later(self, key: str) -> bool:
        """Have a file measured in the next transaction; False if there is no reservation, and so no need for one"""
        if self.owner:
            self.files[key] = None
        return bool(self.owner)

    def close(self) -> None:
        """Use none of the room any more"""
        self._room = NOTHING


def wanted_in_advance(bounds: Bounds, n_bytes: int) -> Usage:
    """How much room to reserve for the files that follow one of a given size"""
    if n_bytes > LARGEST_IN_ADVANCE_BYTES:
        return NOTHING
    part = bounds.fraction(ADVANCE_ONE_IN)
    return Usage(min(part.n_bytes, FILES_IN_ADVANCE * n_bytes), min(part.n_entries, FILES_IN_ADVANCE))


def room_in_advance(bounds: Bounds, usage: Usage, reserved: Usage, wanted: Usage) -> Usage:
    """How much of the wanted room may be reserved

    Args:
        bounds: The bounds
        usage: What is used, including reservations
        reserved: What other processes have reserved
        wanted: How much to reserve if possible
    """
    free, most = bounds.room(usage), bounds.fraction(ADVANCES_ONE_IN)
    return Usage(
        min(wanted.n_bytes, free.n_bytes, most.n_bytes - reserved.n_bytes),
        min(wanted.n_entries, free.n_entries, most.n_entries - reserved.n_entries),
    )
