"""Access to the cache during an exchange

Nothing else in the engine accesses the cache. No fault of the cache reaches the caller: a fault while reading is a
miss, and a fault while writing or deleting is logged (see `FaultLog`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from logging import getLogger
from typing import TYPE_CHECKING, Any, NamedTuple

from requests import PreparedRequest

from .._utils import assert_never, is_bad_signature
from ..backends.base import BaseCache
from ..backends.bodies import BodyWriter
from ..backends.mappings import body_writer, existing_in, is_locked
from ..backends.related import keys_for_any_headers, stored_part_keys
from ..exceptions import BackendUnavailableError, EntryTooLargeError
from ..keys.bodies import REDACTED
from ..keys.matching import same_headers, same_target
from ..models.body import Body
from ..models.redirects import first_request
from ..models.request import AnyPreparedRequest
from ..models.response import CachedResponse
from ..policy.settings import CacheSettings
from ..policy.vary import SameKey
from .body import can_decode
from .fault_log import FaultLog
from .flights import Flights, Outcome
from .refusals import ABANDONED, BY_FILTER, CHANGED, FAULT, LOCKED, TOO_LARGE
from .shared import shared_by
from .watching import Watch

if TYPE_CHECKING:
    from .leasing import Lease, Seen

logger = getLogger(__name__)

# Reasons for deleting entries, besides `BY_FILTER`
INVALIDATED, REPLACED = 'invalidated', 'replaced'

# For detecting that a user has replaced the method, on the class or on an instance
_OUR_CREATE_KEY = BaseCache.create_key
_OUR_SAVE_RESPONSE = BaseCache.save_response


class Version(NamedTuple):
    """Distinguishes a stored response from one that replaces it later"""

    created_at: datetime
    body: bytes | Body | None


def version_of(stored: CachedResponse) -> Version:
    """The version of a response that was read from the store"""
    return Version(stored.created_at, stored._body if stored._body is not None else stored._content)


class Put(NamedTuple):
    """Store a response under a key

    Args:
        over: Store the response only if this version is still stored there; None to store it in any case
    """

    key: str
    response: CachedResponse
    expires: datetime | None
    over: Version | None = None


class Delete(NamedTuple):
    """Delete the entries with these keys

    Args:
        keys: The keys
        reason: Reason for the deletion
    """

    keys: Sequence[str]
    reason: str


Write = Put | Delete


class Recording:
    """A body that is being written, before it is known whether its entry will be stored

    Args:
        writer: The writer of the body
        report: A function that is called with errors, except for `EntryTooLargeError`
    """

    __slots__ = ('_report', '_writer')

    def __init__(self, writer: BodyWriter, report: Callable[[Exception], object]):
        self._writer = writer
        self._report = report

    @property
    def longest_content(self) -> int:
        """Length of the longest body that is stored in the entry itself"""
        return self._writer.longest_content

    def write(self, data: bytes) -> bool:
        """Append bytes to the body, and return whether that succeeded"""
        try:
            self._writer.write(data)
        except Exception as e:
            self._report(e)
            return False
        return True

    def content(self) -> bytes | None:
        """The whole body if it is short, otherwise None"""
        return self._writer.content()

    def commit(self, is_coded: bool) -> Body | None:
        """Finish writing, and return the description of the body; None if that failed"""
        try:
            body = self._writer.commit(is_coded)
        except Exception as e:
            self._report(e)
            return None
        return body if isinstance(body, Body) else None

    def abort(self) -> None:
        """Delete everything that was written"""
        try:
            self._writer.abort()
        except Exception as e:
            self._report(e)


class Store:
    """The cache, with the settings of a session and the arguments with which a request is sent

    Args:
        cache: The backend of the session
        settings: Settings for the URL of the request
        send_kwargs: Arguments of `Session.send`; `verify` is part of the key, and a custom key function gets them all
        faults: The log for faults
        watch: The counters and subscribers that are notified of faults
        exact_query: See `same_target`
        is_abandoned: Returns whether the cache has been closed, so that nothing must be written any more; optional
    """

    __slots__ = (
        '_cache', '_exact_query', '_faults', '_is_abandoned', '_is_away', '_send_kwargs', '_settings', '_watch',
        'refusal',
    )  # fmt: skip

    def __init__(
        self,
        cache: BaseCache,
        settings: CacheSettings,
        send_kwargs: dict[str, Any],
        faults: FaultLog,
        watch: Watch,
        exact_query: bool,
        is_abandoned: Callable[[], bool] | None = None,
    ):
        self._cache = cache
        self._settings = settings
        self._send_kwargs = send_kwargs
        self._faults = faults
        self._watch = watch
        self._exact_query = exact_query
        self._is_abandoned = is_abandoned
        # The store was unavailable for reading; writing would have to wait for the same timeout again
        self._is_away = False
        # Why the last write failed
        self.refusal = ''

    def key_of(self, request: AnyPreparedRequest, match_headers: Iterable[str] | bool | None = None) -> str:
        """The key of a request; errors of a custom key function are raised

        Args:
            match_headers: Names of header fields to include, instead of those in the settings
        """
        if match_headers is None:
            return self._cache.create_key(request, **self._send_kwargs)
        return self._cache.create_key(request, match_headers=match_headers, **self._send_kwargs)

    @property
    def flights(self) -> Flights:
        """Requests in progress"""
        return shared_by(self._cache).flights

    @property
    def keys_are_the_users(self) -> bool:
        """Whether keys come from a custom function, which alone decides which requests are the same"""
        if self._settings.key_fn is not None:
            return True
        return getattr(self._cache.create_key, '__func__', None) is not _OUR_CREATE_KEY

    def read(self, key: str, request: PreparedRequest | None = None) -> CachedResponse | None:
        """The response that is stored under a key

        Args:
            key: The key
            request: The request that the response must match, as keys of 1.x are the same for some different URLs. None
                for an entry that is not the answer to a request.
        """
        try:
            stored: CachedResponse | None = self._cache.get_response(key)
        except Exception as e:
            if is_bad_signature(e):
                raise
            self._report('read', e)
            self._is_away = isinstance(e, BackendUnavailableError)
            return None
        self._faults.succeeded('read')
        if stored is None or not can_decode(stored):
            return None
        if request is None or self.answers(request, stored):
            return stored
        return None

    def report_lost(self, error: Exception) -> None:
        """Report that the body of a stored response cannot be read"""
        self._report('read', error)

    def answers(self, request: PreparedRequest, stored: CachedResponse) -> bool:
        """Whether a stored response matches the URL of a request, and the header fields that are part of its key"""
        settings, url = self._settings, request.url
        if stored.status_code >= 300 and REDACTED in stored.headers.get('Location', ''):
            return False  # its target is unknown
        if url == stored.url and not settings.match_headers:
            return True
        if self.keys_are_the_users:
            return True
        original = first_request(stored)
        if not same_headers(request.headers, original.headers, settings.match_headers, settings.ignored_parameters):
            return False
        if url is None or original.url is None:
            return True
        return same_target(url, original.url, settings.ignored_parameters, stored._is_of_1x, self._exact_query)

    def same_key(self, request: PreparedRequest) -> SameKey | None:
        """A function that compares a request with stored requests by custom keys; None without a key function"""
        if not self.keys_are_the_users:
            return None
        return lambda stored, names: self.key_of(stored, names) == self.key_of(request, names)

    def part_keys(self, key: str) -> list[str]:
        """The keys of the stored parts of a response"""
        try:
            return stored_part_keys(self._cache, key)
        except Exception as e:
            self._report('read', e)
            return []

    def keys_for(self, requests: Sequence[PreparedRequest]) -> list[str]:
        """Keys of all entries for requests without a body, for any values of the matched header fields

        If header fields are matched, this reads the whole store.
        """
        keys = [self.key_of(request) for request in requests]
        keys += [part for key in keys for part in self.part_keys(key)]
        settings, cache = self._settings, self._cache
        has_rules = bool(settings.url_settings)
        matched = [r for r in requests if (cache._settings_for(r) if has_rules else settings).match_headers]
        if not matched:
            return keys
        try:
            return [*keys, *keys_for_any_headers(cache, matched, **self._send_kwargs)]
        except Exception as e:
            self._report('read', e)
            return keys

    def begin(self, key: str) -> Recording | None:
        """Start writing the body of an entry; None if that is impossible"""
        if self._is_away:
            self.refusal = FAULT
            return None
        try:
            if self._is_locked(key):
                return None
            writer = body_writer(self._cache.responses, key)
        except Exception as e:
            self._report_write(e)
            return None
        return Recording(writer, self._report_write)

    def _report_write(self, error: Exception) -> None:
        if isinstance(error, EntryTooLargeError):
            self.refusal = TOO_LARGE
        else:
            self.refusal = FAULT
            self._report('write to', error)

    def _report(self, operation: str, error: Exception) -> None:
        reason, ignored = operation.partition(' ')[0], self._settings.ignored_parameters
        self._faults.report(operation, error, ignored)
        self._watch.counters.add('faults')
        self._watch.emit('store fault', None, ignored, reason=reason, error=error)

    @property
    def longest_body(self) -> int | None:
        """Length of the longest body that can be stored, in bytes; None for no limit"""
        bounds = getattr(self._cache.responses, 'bounds', None)
        return bounds.largest if bounds is not None else None

    def lease(self, key: str, deadline: float, over: str | None = None) -> Lease | Seen | None:
        """Take the lease for a key, or wait for the process that has it; None to continue without a lease

        Args:
            key: The key
            deadline: How long to wait, by `monotonic`
            over: The value of a lease whose outcome was useless, and which is to be replaced
        """
        if self._is_away:
            return None
        from . import leasing

        try:
            lease = leasing.obtain(self._cache.leases, key, deadline, over)
        except Exception as e:
            self._report('lease', e)
            return None
        self._faults.succeeded('lease')
        if isinstance(lease, leasing.Lease):
            leasing.keeper.hold(lease)
        return lease

    def give_back(self, lease: Lease, outcome: Outcome) -> None:
        """Tell other processes the outcome of a request"""
        from .leasing import keeper

        try:
            keeper.give_back(lease, outcome)
        except Exception as e:
            self._report('lease', e)

    def apply(self, writes: Iterable[Write]) -> bool:
        """Carry out writes until one fails, and return whether all succeeded; if not, `refusal` is the reason"""
        if getattr(self._cache.responses, 'bounds', None) is None:
            return self._apply(writes)
        from ..backends.eviction import evictions

        with evictions() as evicted:
            is_done = self._apply(writes)
        for key in dict.fromkeys(evicted):
            self._watch.counters.add('evictions')
            self._watch.emit('evicted', None, None, key=key)
        return is_done

    def _apply(self, writes: Iterable[Write]) -> bool:
        operation = 'write to'
        try:
            for write in writes:
                operation = 'delete from' if isinstance(write, Delete) else 'write to'
                if self._is_away or (self._is_abandoned is not None and self._is_abandoned()):
                    self.refusal = FAULT if self._is_away else ABANDONED
                    return False
                if not self._carry_out(write):
                    return False
        except Exception as e:
            self.refusal = FAULT
            self._report(operation, e)
            return False
        self._faults.succeeded(operation)
        return True

    def abandoned_by(self, is_abandoned: Callable[[], bool]) -> Store:
        """The same store for work in the background, which stops writing when the cache is closed"""
        return Store(
            self._cache, self._settings, self._send_kwargs, self._faults, self._watch, self._exact_query, is_abandoned
        )

    def _carry_out(self, write: Write) -> bool:
        match write:
            case Put(key, response, expires, over):
                response._is_verified = bool(self._send_kwargs.get('verify', True))
                if over is not None:
                    return self._put_over(write, over)
                return not self._is_locked(key) and self._save(response, key, expires)
            case Delete(keys, reason):
                self._delete(list(dict.fromkeys(keys)), reason)
            case _:
                assert_never(write)
        return True

    def _delete(self, keys: list[str], reason: str) -> None:
        existing = self._existing(keys) if self._watch.is_on else ()
        # Not `delete`, which would make SQLite vacuum the database
        self._cache._delete_keys(keys)
        for key in existing:
            self._watch.emit('deleted', None, None, key=key, reason=reason)

    def _existing(self, keys: list[str]) -> list[str]:
        """The keys that exist in the store; none if that is unknown"""
        try:
            existing = existing_in(self._cache.responses, keys)
        except Exception:
            return []
        return [key for key in keys if key in existing]

    def _put_over(self, put: Put, version: Version) -> bool:
        """Store a response if the stored version is still the one that was read"""

        def is_expected(stored: CachedResponse | None) -> bool:
            is_same = stored is not None and version_of(stored) == version
            # The refusal if nothing is written
            self.refusal = TOO_LARGE if is_same and self.longest_body is not None else CHANGED
            return is_same

        cache = self._cache
        if getattr(cache.save_response, '__func__', None) is _OUR_SAVE_RESPONSE and is_expected(
            cache.responses.get(put.key)
        ):
            return cache._save(put.response, put.key, put.expires, is_expected)
        # A custom method, or an entry that was found by a redirect
        return is_expected(cache.get_response(put.key)) and self._save(put.response, put.key, put.expires)

    def _is_locked(self, key: str) -> bool:
        """Whether the stored entry must not be overwritten, because its encryption key is missing"""
        if not is_locked(self._cache.responses, key):
            return False
        self.refusal = LOCKED
        return True

    def _save(self, response: CachedResponse, key: str, expires: datetime | None) -> bool:
        # A custom method may return anything
        if self._cache.save_response(response, key, expires) is False:
            self.refusal = TOO_LARGE
            return False
        return True

    def forget(self, key: str) -> None:
        """Delete a stored response that `filter_fn` rejected"""
        if self._settings.read_only:
            return
        self.apply([Delete([key], BY_FILTER)])
