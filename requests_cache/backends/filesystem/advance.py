"""Room that is reserved in an index for files to come, as a transaction for each of them takes as long as the file"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic

from ..eviction import NOTHING, Bounds, Usage
from .directory import Measured

# Room is reserved for so many files of the size of the first one, if they are not larger than that. It is at most one
# part in so many of what the cache may hold, and that of all processes together another one.
FILES_IN_ADVANCE = 16
LARGEST_IN_ADVANCE_BYTES = 256 * 1024
ADVANCE_ONE_IN, ADVANCES_ONE_IN = 16, 8
# After that it is given up, long before others may take the process for one that is gone
ADVANCE_SECONDS = 600.0


class Advance:
    """Room that this process has reserved for files to come, and those that were put into it

    Args:
        owner: Name of the reservation; an empty one if there is none
        room: How much it is
        index_file: Which file the index is in
    """

    def __init__(self, owner: str = '', room: Usage = NOTHING, index_file: tuple[int, ...] | None = None):
        self.owner = owner
        self._room = room
        self.index_file = index_file
        self._end = monotonic() + ADVANCE_SECONDS
        # None for those of which it is not known whether they were written
        self.files: dict[str, Measured | None] = {}
        self.n_written = 0

    def has_room(self, n_bytes: int, index_file: tuple[int, ...] | None) -> bool:
        """Whether there is room for a file, and the index is still where that was reserved"""
        return (
            self._room.n_entries > 0
            and self._room.n_bytes >= n_bytes
            and self.index_file in (None, index_file)
            and monotonic() < self._end
        )

    def put(self, key: str, measured: Measured, put: Callable[[], None]) -> None:
        """Put a file into the room that there is"""
        self._room = Usage(self._room.n_bytes - measured.n_bytes, self._room.n_entries - 1)
        self.n_written += 1
        self.files[key] = None
        put()
        self.files[key] = measured

    def measure_later(self, key: str) -> bool:
        """Have a file measured when the index is told of the others; False if there are none to come"""
        if self.owner:
            self.files[key] = None
        return bool(self.owner)

    def close(self) -> None:
        """Let nothing more be put into it"""
        self._room = NOTHING


def wanted_in_advance(bounds: Bounds, n_bytes: int) -> Usage:
    """How much room to have for the next files after one of a size"""
    if n_bytes > LARGEST_IN_ADVANCE_BYTES:
        return NOTHING
    part = bounds.part(ADVANCE_ONE_IN)
    return Usage(min(part.n_bytes, FILES_IN_ADVANCE * n_bytes), min(part.n_entries, FILES_IN_ADVANCE))


def room_in_advance(bounds: Bounds, usage: Usage, reserved: Usage, wanted: Usage) -> Usage:
    """How much of the room that is wanted may be reserved

    Args:
        bounds: The bounds
        usage: What is accounted for
        reserved: How much of it is reserved already, by other processes
        wanted: How much is wanted
    """
    free, most = bounds.room(usage), bounds.part(ADVANCES_ONE_IN)
    return Usage(
        min(wanted.n_bytes, free.n_bytes, most.n_bytes - reserved.n_bytes),
        min(wanted.n_entries, free.n_entries, most.n_entries - reserved.n_entries),
    )
