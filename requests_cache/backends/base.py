"""The in-memory backend, and the base of all others"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, MutableMapping
from datetime import datetime
from logging import getLogger
from pathlib import Path
from typing import TYPE_CHECKING, Any
from warnings import warn

from requests import Request, Response
from requests.exceptions import ChunkedEncodingError

from .._utils import accepted_keywords, chunkify
from ..cache_keys import create_key
from ..keys.redaction import redact_response
from ..keys.shown import shown_key
from ..models.body import BodyLostError
from ..models.redirects import history_from, redirect_keys
from ..models.request import AnyRequest, sent_url
from ..models.response import CachedResponse
from ..policy.expiration import DO_NOT_CACHE, ExpirationTime, check_expiration, expiration_of, get_expiration_datetime
from ..policy.settings import DEFAULT_CACHE_NAME, KEY_SETTINGS
from ..serializers.pipeline import SerializerType
from .binding import Bindable
from .mappings import bulk_delete_from, existing_in, put, scan, scan_while_changing, tolerates_writes, write_if
from .memory import DictStorage
from .rekey import copy_entries, recreate_keys
from .related import find_related, keys_for_any_headers, variant_keys
from .storage import CHUNK_SIZE, DESERIALIZE_ERRORS, KT, STORAGE_KEYWORDS, VT, BaseStorage

if TYPE_CHECKING:
    from .leases import Leases
    from .summary import Summary

__all__ = [
    'DESERIALIZE_ERRORS',
    'KT',
    'VT',
    'AnyRequest',
    'BaseCache',
    'BaseStorage',
    'DictStorage',
    'ExpirationTime',
    'SerializerType',
    'create_key',
]

logger = getLogger(__name__)


class _NoDatabaseFileError(NotImplementedError, AttributeError):
    """NotImplementedError, as in 1.x, but also AttributeError, so that `hasattr` and introspection keep working"""


class BaseCache(Bindable):
    """A cache in the memory of this process, and the base class of all other backends

    To write a backend of your own, derive from this class, call `super().__init__()`, and set `responses` and
    `redirects` to storages (see `BaseStorage`).

    Args:
        cache_name: A label
        large_body_bytes: Keep bodies longer than this in pieces; 1 MiB by default
        max_cache_bytes: Size of all responses together: a number of bytes, or text such as `'500 MB'`; no bound by
            default
        max_entries: How many responses are kept; no bound by default
        delete_expired_after: Delete responses that have been expired for this long, a few with each write: seconds or a
            `timedelta`; by default never
        kwargs: `compression` and `encryption_key` (see `BaseStorage`); others are ignored
    """

    def __init__(self, cache_name: str = DEFAULT_CACHE_NAME, **kwargs: Any):
        self.cache_name = str(cache_name)
        self.responses: MutableMapping[str, CachedResponse] = DictStorage(
            **{name: kwargs[name] for name in STORAGE_KEYWORDS if name in kwargs}
        )
        self.redirects: MutableMapping[str, str] = DictStorage()

    @property
    def leases(self) -> Leases:
        """The leases for `single_flight='shared'`; if the store keeps none, they apply to this process only"""
        leases: Leases | None = getattr(self.responses, 'leases', None)
        if leases is None:
            from .leases import LeasesInMemory

            attributes = self.__dict__
            leases = attributes.get('_leases') or attributes.setdefault('_leases', LeasesInMemory())
        return leases

    @classmethod
    def owned_keywords(cls) -> frozenset[str] | None:
        """Names of the keywords that the constructor or the driver's client takes; None if they are not known"""
        return STORAGE_KEYWORDS if cls is BaseCache else accepted_keywords(cls.__init__)

    @property
    def db_path(self) -> Path | str:
        """Path of the database file

        Raises:
            NotImplementedError: The backend has none
        """
        raise _NoDatabaseFileError(f'{type(self).__name__} has no database file')

    def create_key(self, request: AnyRequest, match_headers: Iterable[str] | bool | None = None, **kwargs: Any) -> str:
        """The key of a request, made by `key_fn` if that is set

        Args:
            request: A request, prepared or not
            match_headers: Names of the header fields that become part of the key; by default those in the settings
            kwargs: Arguments that the request is sent with, such as `verify`
        """
        settings = self._settings
        if settings.url_settings:
            settings = settings.for_url(sent_url(request), KEY_SETTINGS)
        make_key: Any = settings.key_fn or create_key
        key: str = make_key(
            request=request,
            ignored_parameters=settings.ignored_parameters,
            content_root_key=settings.content_root_key,
            match_headers=match_headers or settings.match_headers,
            serializer=getattr(self.responses, 'serializer', None),
            **kwargs,
        )
        return key

    def get_response(self, key: str, default: Any = None) -> Any:
        """The response stored under a key, or at the end of the redirects from there

        Args:
            key: The key of a request
            default: What to return if nothing is stored
        """
        response = _get(self.responses, key)
        if response is None and (target := _get(self.redirects, key)) is not None and target != key:
            response = self._redirected(key, _get(self.responses, target))
        return response if isinstance(response, CachedResponse) else default

    def _redirected(self, key: str, response: Any) -> CachedResponse | None:
        """A response that was reached by redirects, with its history beginning at the request with this key"""
        if not isinstance(response, CachedResponse):
            return None
        history = history_from(key, response, self.create_key)
        is_authenticated = getattr(self.responses, 'authenticates', False)
        if history is not None:
            response.history = history
        elif self._may_have_users_keys or is_authenticated:
            # The target may have been replaced by another response, which only the user's keys would tell. And unlike
            # responses, redirects are not signed, so somebody else may have written this one.
            return None
        return response

    @property
    def _may_have_users_keys(self) -> bool:
        """Whether some or all keys are created by a user's function"""
        settings = self._settings
        return settings.key_fn is not None or any('key_fn' in rule for rule in settings.url_settings.values())

    def save_response(self, response: Response, cache_key: str | None = None, expires: datetime | None = None) -> bool:
        """Store a response without its secrets, and the redirects that led to it

        Args:
            response: A response of any kind
            cache_key: Its key; by default that of its request
            expires: Time (UTC) at which it becomes stale; None for never

        Returns:
            True if it was kept; False if it is larger than the bound of the cache
        """
        return self._save(response, cache_key, expires)

    def _save(
        self,
        response: Response,
        cache_key: str | None,
        expires: datetime | None,
        is_expected: Callable[[CachedResponse | None], bool] | None = None,
    ) -> bool:
        """As `save_response`, but only if the stored response meets a condition"""
        received = {'created_at': response.created_at} if hasattr(response, 'created_at') else {}
        cached = CachedResponse.from_response(response, expires=expires, **received)
        key = cache_key or self.create_key(cached.request)
        redirects = (
            []
            if getattr(response, 'revalidated', False)
            else redirect_keys(cached, self.create_key, verify=getattr(response, '_is_verified', True))
        )
        redacted = redact_response(cached, self._names_of_secrets(cached))
        if is_expected is None:
            if not put(self.responses, key, redacted):
                return False
        elif not write_if(self.responses, key, redacted, is_expected):
            return False
        self._save_redirects(dict.fromkeys(redirects, key), cached.expires)
        self._clean(len(redirects))
        return True

    def _names_of_secrets(self, response: CachedResponse) -> Iterable[str] | None:
        """The ignored parameters of all URLs in a chain of redirects, as each response contains the next URL"""
        if not self._settings.url_settings:
            return self._settings.ignored_parameters
        all_settings = (self._settings_for(each.request) for each in (*response.history, response))
        return dict.fromkeys(name for settings in all_settings for name in settings.ignored_parameters or ())

    def _clean(self, n_redirects: int) -> None:
        """Remove some useless entries after a write with `n_redirects` redirects, if automatic cleaning is on"""
        if not getattr(self.responses, 'deletes_automatically', False):
            return
        attributes = self.__dict__
        cleaning = attributes.get('_cleaning')
        if cleaning is None:
            from .cleaning import Cleaning

            cleaning = attributes.setdefault('_cleaning', Cleaning())
        cleaning.step(self.responses, self.redirects, n_redirects)

    def _save_redirects(self, redirects: dict[str, str], expires: datetime | None = None) -> None:
        """Store redirects to an entry; `expires` is when the entry expires (UTC), for stores that use it"""
        for source, target in redirects.items():
            self.redirects[source] = target

    def contains(
        self, key: str | None = None, request: AnyRequest | None = None, url: str | None = None, verify: bool = True
    ) -> bool:
        """Whether there is an entry for a key, a request, or a GET request for a URL. Expired entries count."""
        if url and request is None:
            request = Request('GET', url)
        if key is None and request is not None:
            key = self.create_key(request, verify=verify)
        if key is None or key in self.responses:
            return key is not None
        target = _get(self.redirects, key)
        return target is not None and target in self.responses

    def delete(
        self,
        *keys: str,
        expired: bool = False,
        invalid: bool = False,
        older_than: ExpirationTime = None,
        requests: Iterable[AnyRequest] | None = None,
        urls: Iterable[str] | None = None,
        verify: bool = True,
    ) -> int:
        """Delete entries that meet any of the conditions

        Args:
            keys: Keys of entries
            expired: All entries that have expired
            invalid: All entries that cannot be read
            older_than: All entries received before a time, or longer ago than a number of seconds or a `timedelta`
            requests: The entries for these requests, prepared or not, and all variants of them
            urls: The entries for GET requests for these URLs, and all variants of them
            verify: Whether the requests verify certificates, which is part of their keys

        Returns:
            The number of responses removed
        """
        removed = self._delete_keys(list(keys))
        if requests or urls:
            removed += self._delete_requested(requests, urls, verify)
        if expired or invalid or older_than:
            removed += self._delete_where(expired, invalid, older_than)
            self._remove_leftovers()
        self._prune_redirects()
        return removed

    def remove_leftovers(self) -> None:
        """Remove redirects to entries that no longer exist, and what interrupted writers left behind"""
        self._prune_redirects()
        self._remove_leftovers()

    def _remove_leftovers(self) -> None:
        """Remove what interrupted writers left behind"""
        if isinstance(self.responses, BaseStorage):
            self.responses.remove_leftovers()

    def _delete_requested(self, requests: Iterable[AnyRequest] | None, urls: Iterable[str] | None, verify: bool) -> int:
        for_urls = [Request('GET', url) for url in ([urls] if isinstance(urls, str) else urls or ())]
        found = [find_related(self, request, verify=verify) for request in (*(requests or ()), *for_urls)]
        removed = self._delete_keys([key for each in found for key in each.keys])
        redirects = {source: each.first_keys[-1] for each in found for source in each.redirects}
        if redirects:
            self._delete_redirects(redirects)
        removed += self._delete_each(variant_keys(self, found, verify=verify))
        matched = [request for request in for_urls if self._settings_for(request).match_headers]
        if matched:
            removed += self._delete_each(keys_for_any_headers(self, matched, verify=verify))
        return removed

    def _delete_keys(self, keys: list[str]) -> int:
        if len(keys) == 1:
            try:
                del self.responses[keys[0]]
            except KeyError:
                return 0
            return 1
        return bulk_delete_from(self.responses, list(dict.fromkeys(keys))) if keys else 0

    def _delete_where(self, expired: bool, invalid: bool, older_than: ExpirationTime) -> int:
        matching = self.filter(valid=False, expired=expired, invalid=invalid, older_than=older_than)
        keys: Iterable[str] = (str(r.cache_key) for r in matching)
        return self._delete_each(keys if tolerates_writes(self.responses) else list(keys))

    def _delete_each(self, keys: Iterable[str]) -> int:
        return sum(bulk_delete_from(self.responses, chunk) for chunk in chunkify(keys, CHUNK_SIZE))

    def _prune_redirects(self) -> None:
        """Delete redirects to entries that no longer exist; this reads all redirects"""
        for page in chunkify(scan_while_changing(self.redirects), CHUNK_SIZE):
            existing = existing_in(self.responses, {target for _, target in page if isinstance(target, str)})
            self._delete_redirects({source: target for source, target in page if target not in existing})

    def _delete_redirects(self, redirects: Mapping[str, str | None]) -> None:
        bulk_delete_from(self.redirects, list(redirects))

    def filter(
        self, valid: bool = True, expired: bool = True, invalid: bool = False, older_than: ExpirationTime = None
    ) -> Iterator[CachedResponse]:
        """Responses that meet any of the conditions

        Args:
            valid: Responses that have not expired
            expired: Responses that have expired
            invalid: Entries that cannot be read, as empty responses with status 504 and their key in `cache_key`
            older_than: Responses received before a time, or longer ago than a number of seconds or a `timedelta`
        """
        limit = get_expiration_datetime(older_than, negative_delta=True) if older_than else None
        for key, response in self._entries():
            if response is None:
                if invalid:
                    unreadable = CachedResponse(status_code=504)
                    unreadable.cache_key = key
                    yield unreadable
            elif (expired if response.is_expired else valid) or (limit is not None and response.created_at < limit):
                yield response

    def _entries(self) -> Iterator[tuple[str, CachedResponse | None]]:
        """All keys and responses; None for a response that cannot be read"""
        return map(_as_entry, scan(self.responses))

    def _changeable_entries(self) -> Iterator[tuple[str, CachedResponse | None]]:
        """As `_entries`, but the caller may add and delete entries during the iteration"""
        return map(_as_entry, scan_while_changing(self.responses))

    def urls(self, **kwargs: Any) -> list[str]:
        """The sorted URLs of all responses that `filter()` finds, without duplicates; arguments as for `filter()`"""
        return sorted({response.url for response in self.filter(**kwargs) if response.url})

    def summary(self, progress: Callable[[int], object] | None = None) -> Summary:
        """Count what is stored: by host, content type, status, age and expiration

        This reads all entries once, in memory that does not grow with the cache. Large bodies are not read. Counting
        an entry is not a use that would keep it from being evicted.

        Args:
            progress: Called after each entry with the number of entries that have been counted
        """
        from .summary import summarize

        return summarize(self, progress)

    def update(self, other: BaseCache, progress: Callable[[int], object] | None = None) -> None:
        """Copy all readable entries and redirects from another cache, which may have another backend and serializer

        Args:
            other: The other cache
            progress: Called from time to time with the number of entries that have been copied
        """
        copy_entries(other, self, progress)

    def recreate_keys(self) -> None:
        """Give each entry the key that its request has with the current settings and serializer"""
        recreate_keys(self)
        self._prune_redirects()

    def reencrypt(self, progress: Callable[[int], object] | None = None) -> int:
        """Rewrite all entries with the current `compression` and `encryption_key`

        Afterwards, old keys can be removed from `encryption_key`. Entries that cannot be read are not changed. If this
        is interrupted, each entry is either old or new, and the next call continues.

        Args:
            progress: Called after each entry with the number of entries that have been written

        Returns:
            The number of entries that were written
        """
        written = 0
        for key, response in self._changeable_entries():
            if response is None or not self._rewrite(key, response):
                continue
            written += 1
            if progress is not None:
                progress(written)
        return written

    def _rewrite(self, key: str, response: CachedResponse) -> bool:
        if not isinstance(self.responses, BaseStorage):
            self.responses[key] = response
            return True
        try:
            return self.responses.rewrite(key, response)
        except (BodyLostError, ChunkedEncodingError):
            logger.warning('Entry was not rewritten, because its body cannot be read: %s', shown_key(key))
            return False

    def reset_expiration(self, expire_after: ExpirationTime = None) -> None:
        """Set a new expiration for all entries, counted from now

        Args:
            expire_after: The expiration; None for never. A function is called with each response and returns its
                expiration; if it returns `DO_NOT_CACHE`, the entry is deleted.
        """
        check_expiration(expire_after)
        for key, response in self._changeable_entries():
            if response is None:
                continue
            if reset_expiration_or_drop(response, expire_after):
                self.responses[key] = response
            else:
                self._delete_keys([key])

    def remove_expired_responses(self, expire_after: ExpirationTime = None) -> None:
        """Deprecated; use `delete(expired=True)`"""
        warn('remove_expired_responses() is deprecated; use delete(expired=True)', DeprecationWarning, stacklevel=2)
        if expire_after is not None:
            self.reset_expiration(expire_after)
        self.delete(expired=True, invalid=True)

    def clear(self) -> None:
        """Delete all entries"""
        self.responses.clear()
        self.redirects.clear()

    def close(self) -> None:
        """Close connections. Using the cache later opens them again."""
        for storage in (self.responses, self.redirects):
            if hasattr(storage, 'close'):
                storage.close()

    def __str__(self) -> str:
        return f'<{type(self).__name__}(name={self.cache_name})>'

    __repr__ = __str__


def reset_expiration_or_drop(response: CachedResponse, expire_after: ExpirationTime) -> bool:
    """Set a new expiration, counted from now; returns False if the response should be deleted instead"""
    value = expiration_of(response, expire_after)
    if callable(expire_after) and value == DO_NOT_CACHE:
        return False
    response.reset_expiration(value)
    return True


def _get(storage: MutableMapping[str, Any], key: str) -> Any:
    try:
        return storage[key]
    except (AttributeError, KeyError):
        return None


def _as_entry(item: tuple[str, Any]) -> tuple[str, CachedResponse | None]:
    key, response = item
    if not isinstance(response, CachedResponse):
        return key, None
    response.cache_key = key
    return key, response


BackendSpecifier = str | BaseCache | type[BaseCache]
