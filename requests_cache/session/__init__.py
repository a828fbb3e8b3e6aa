"""Sessions that cache"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from requests import PreparedRequest, Response, Session
from requests import Session as OriginalSession

from ..backends.base import BackendSpecifier, BaseCache
from ..backends.registry import init_backend
from ..engine import flow as engine
from ..engine.call import Call, under_way
from ..engine.fault_log import FaultLog
from ..engine.refreshing import Refreshing
from ..models.response import AnyResponse, CachedResponse, OriginalResponse
from ..policy.actions import CacheActions
from ..policy.expiration import ExpirationPatterns, ExpirationTime
from ..policy.request import NO_OPTIONS
from ..policy.rules import rules_for
from ..policy.settings import (
    DEFAULT_CACHE_NAME,
    DEFAULT_IGNORED_PARAMS,
    DEFAULT_METHODS,
    DEFAULT_STATUS_CODES,
    CacheSettings,
    FilterCallback,
    KeyCallback,
)
from ..serializers.pipeline import SerializerType
from .environment import LazyProxies, merge_lazily
from .keywords import parent_keywords
from .options import as_keywords, make_options, pending, take_pending
from .state import Portable

__all__ = ['CacheActions', 'CacheMixin', 'CachedSession', 'OriginalResponse', 'OriginalSession']

StrOrPath = Path | str
S = TypeVar('S', bound='CacheMixin')

# At type-checking time the mixin has the methods of what it is mixed into
if TYPE_CHECKING:
    MIXIN_BASE = Session
else:
    MIXIN_BASE = object

# Sessions whose cache is switched off in this thread or task
_switched_off: ContextVar[tuple[Any, ...]] = ContextVar('requests_cache_switched_off', default=())

_SHARED_ATTRIBUTES = (
    'adapters', 'auth', 'cert', 'cookies', 'headers', 'hooks', 'max_redirects', 'params', 'proxies', 'stream',
    'trust_env', 'verify',
)  # fmt: skip


class CacheMixin(Portable, MIXIN_BASE):
    """Adds caching to a session class; goes before it: `class MySession(CacheMixin, OtherSession)`

    Args:
        cache_name: Name of the cache: path, database, table or prefix of keys, as the backend has it
        backend: Name, class or instance of a backend; SQLite by default
        serializer: Name or object, if not the backend's own
        kwargs: Further settings (see `CacheSettings`), keywords of the backend, or of the session class

    The other arguments are settings, described at `CacheSettings`.
    """

    # Whether a backend that is passed in was made with the same keywords as the session
    _backend_has_keywords = False

    def __init__(
        self,
        cache_name: StrOrPath = DEFAULT_CACHE_NAME,
        backend: BackendSpecifier | None = None,
        serializer: SerializerType | None = None,
        expire_after: ExpirationTime = -1,
        urls_expire_after: ExpirationPatterns | None = None,
        cache_control: bool | str = False,
        content_root_key: str | None = None,
        allowable_codes: Iterable[int] = DEFAULT_STATUS_CODES,
        allowable_methods: Iterable[str] = DEFAULT_METHODS,
        always_revalidate: bool = False,
        ignored_parameters: Iterable[str] = DEFAULT_IGNORED_PARAMS,
        match_headers: Iterable[str] | bool = False,
        filter_fn: FilterCallback | None = None,
        key_fn: KeyCallback | None = None,
        read_only: bool = False,
        stale_if_error: bool | ExpirationTime = False,
        autoclose: bool = True,
        **kwargs: Any,
    ):
        settings = CacheSettings.from_kwargs(
            expire_after=expire_after,
            urls_expire_after=urls_expire_after,
            cache_control=cache_control,
            content_root_key=content_root_key,
            allowable_codes=allowable_codes,
            allowable_methods=allowable_methods,
            always_revalidate=always_revalidate,
            ignored_parameters=ignored_parameters,
            match_headers=match_headers,
            filter_fn=filter_fn,
            key_fn=key_fn,
            read_only=read_only,
            stale_if_error=stale_if_error,
            autoclose=autoclose,
            **kwargs,
        )
        self._cache = init_backend(cache_name, backend, serializer=serializer, **kwargs)
        self._settings = settings
        self._cache._settings = settings
        self._faults = FaultLog()
        self._refreshing = Refreshing()
        takes_none = isinstance(backend, BaseCache) and not self._backend_has_keywords
        backend_names = frozenset() if takes_none else self._cache.owned_keywords()
        super().__init__(**parent_keywords(type(self), CacheMixin, kwargs, backend_names))

    @property
    def cache(self) -> BaseCache:
        """The backend; its methods, called from here, go by the settings of this session"""
        self._cache._settings = self._settings
        return self._cache

    @cache.setter
    def cache(self, cache: BaseCache) -> None:
        self._cache = cache

    @property
    def settings(self) -> CacheSettings:
        """Settings of this session, which may be changed at any time"""
        return self._settings

    @settings.setter
    def settings(self, settings: CacheSettings) -> None:
        self._settings = settings

    @property
    def expire_after(self) -> ExpirationTime:
        """Expiration of new responses"""
        return self._settings.expire_after

    @expire_after.setter
    def expire_after(self, expire_after: ExpirationTime) -> None:
        self._settings.expire_after = expire_after

    @classmethod
    def wrap(cls: type[S], original_session: Session, **kwargs: Any) -> S:
        """A caching session that shares adapters, headers, cookies, authentication and so on with another session"""
        session = cls(**kwargs)
        for name in _SHARED_ATTRIBUTES:
            setattr(session, name, getattr(original_session, name))
        return session

    def get(self, url: Any, params: Any = None, **kwargs: Any) -> AnyResponse:
        kwargs.setdefault('allow_redirects', True)
        return self.request('GET', url, params=params, **kwargs)

    def options(self, url: Any, **kwargs: Any) -> AnyResponse:
        kwargs.setdefault('allow_redirects', True)
        return self.request('OPTIONS', url, **kwargs)

    def head(self, url: Any, **kwargs: Any) -> AnyResponse:
        kwargs.setdefault('allow_redirects', False)
        return self.request('HEAD', url, **kwargs)

    def post(self, url: Any, data: Any = None, **kwargs: Any) -> AnyResponse:  # type: ignore[override]
        return self.request('POST', url, data=data, **kwargs)

    def put(self, url: Any, data: Any = None, **kwargs: Any) -> AnyResponse:
        return self.request('PUT', url, data=data, **kwargs)

    def patch(self, url: Any, data: Any = None, **kwargs: Any) -> AnyResponse:
        return self.request('PATCH', url, data=data, **kwargs)

    def delete(self, url: Any, **kwargs: Any) -> AnyResponse:
        return self.request('DELETE', url, **kwargs)

    def request(  # type: ignore[override]
        self,
        method: str,
        url: Any,
        *args: Any,
        headers: Any = None,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> AnyResponse:
        """Make a request, and answer it from the cache if that may be done

        Args:
            method, url, args, headers, kwargs: As for `requests.Session.request`
            expire_after: Expiration of the response, if it is stored
            only_if_cached: Answer from the cache or with a 504 response, never from the network
            refresh: Validate a stored response with the origin before it is used, if it has a validator
            force_refresh: Send the request whatever is stored
        """
        options = make_options(expire_after, only_if_cached, refresh, force_refresh)
        kwargs['headers'] = headers
        token = pending.set((self, options))
        try:
            return super().request(method, url, *args, **kwargs)  # type: ignore[return-value]
        finally:
            pending.reset(token)

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As in `requests`; in a call of `request()`, adds its options, which go to `send()` with these settings"""
        merge = super().merge_environment_settings
        options = take_pending(self)
        if options is None:
            return merge(url, proxies, stream, verify, cert)
        return {**merge_lazily(merge, url, proxies, stream, verify, cert), **as_keywords(options)}

    def send(
        self,
        request: PreparedRequest,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> AnyResponse:
        """Send a prepared request, and answer it from the cache if that may be done; options as for `request()`"""
        options = make_options(expire_after, only_if_cached, refresh, force_refresh)
        by_request = take_pending(self)
        if options is NO_OPTIONS and by_request is not None:
            options = by_request
        switched_off = _switched_off.get()
        disabled = bool(switched_off) and any(session is self for session in switched_off)
        rules = rules_for(self._settings)
        policy = rules.request_policy(request.method, request.url, request.headers, self._settings, options, disabled)
        return engine.send(Call(self, request, options, rules, policy, kwargs))

    def resolve_redirects(self, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As in `requests`; the options of a request go for its redirects, too"""
        current = under_way.get()
        if current is not None and current[0] is req:
            kwargs = {**kwargs, **as_keywords(current[1])}
        responses: Iterator[Any] = super().resolve_redirects(resp, req, *args, **kwargs)
        return responses

    def _send_to_origin(self, request: PreparedRequest, **kwargs: Any) -> Response:
        if isinstance(kwargs.get('proxies'), LazyProxies):
            kwargs['proxies'] = kwargs['proxies'].proxies
        return super().send(request, **kwargs)

    def _send_and_cache(
        self, request: PreparedRequest, actions: Call, cached_response: CachedResponse | None = None, **kwargs: Any
    ) -> AnyResponse:
        return engine.send_and_record(actions, request, cached_response)

    def _resend_async(
        self, request: PreparedRequest, actions: Call, cached_response: CachedResponse, **kwargs: Any
    ) -> Thread | None:
        """Renew a stored response in a thread of its own, which is returned, unless that is being done already"""
        return self._refreshing.start(
            str(actions.cache_key), request.url, lambda: engine.refresh(actions, request, cached_response)
        )

    @contextmanager
    def cache_disabled(self) -> Iterator[None]:
        """A block in which this session neither reads nor writes its cache, in this thread or task only"""
        token = _switched_off.set((*_switched_off.get(), self))
        try:
            yield
        finally:
            _switched_off.reset(token)

    def close(self) -> None:
        """Close the session, and its backend if `settings.autoclose`"""
        super().close()
        if self._settings.autoclose:
            self._cache.close()

    def __repr__(self) -> str:
        return f'<CachedSession(cache={self._cache}, settings={self._settings})>'

    __str__ = __repr__


class CachedSession(CacheMixin, OriginalSession):
    """A `requests.Session` that caches; arguments as for `CacheMixin`"""
