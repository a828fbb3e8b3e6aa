"""Sessions with a cache"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, TypeVar

from requests import PreparedRequest, Request, Response, Session
from requests import Session as OriginalSession

from .._scopes import Scopes
from ..backends.base import BackendSpecifier, BaseCache
from ..backends.registry import init_backend
from ..engine import flow
from ..engine.carrying import attach_options, attached_to, before_redirect, copy_with_attached, with_options_hook
from ..engine.exchange import Exchange, Plan
from ..engine.modes import mode_of
from ..engine.shared import close, shared_by
from ..engine.statistics import Statistics
from ..engine.store import Store
from ..engine.watching import Watch
from ..models.response import AnyResponse, CachedResponse, OriginalResponse
from ..policy.actions import CacheActions
from ..policy.expiration import ExpirationPatterns, ExpirationTime
from ..policy.request import NO_OPTIONS
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
from .environment import merge_settings
from .keywords import log_ignored_headers, parent_keywords
from .options import make_options
from .state import Portable

__all__ = ['CacheActions', 'CacheMixin', 'CachedSession', 'OriginalResponse', 'OriginalSession']

StrOrPath = Path | str
S = TypeVar('S', bound='CacheMixin')

# For type checkers, the mixin has the methods of `requests.Session`
if TYPE_CHECKING:
    from ..engine.events import Subscriber
    from ..engine.explaining import Explanation

    MIXIN_BASE = Session
else:
    MIXIN_BASE = object

# Sessions whose cache is disabled in this thread or task
_switched_off = Scopes('requests_cache_switched_off')

_SHARED_ATTRIBUTES = (
    'adapters', 'auth', 'cert', 'cookies', 'headers', 'hooks', 'max_redirects', 'params', 'proxies', 'stream',
    'trust_env', 'verify',
)  # fmt: skip


class CacheMixin(Portable, MIXIN_BASE):
    """Adds caching to a session class. It goes before that class: `class MySession(CacheMixin, OtherSession)`

    Args:
        cache_name: Name of the cache. Depending on the backend, this is a path, a database, a table or a prefix of the
            keys. It may also be the URL of a cache.
        backend: Name, class, instance or URL of a backend; SQLite by default
        serializer: Name of a serializer, or an object with `dumps` and `loads`; each backend has a default of its own
        kwargs: Further settings, and keywords of the backend, of its driver's client, or of the session class

    The other arguments are settings; see `CacheSettings`.
    """

    # Shared by all sessions of an installation
    _watch: Watch | None = None
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
        log_ignored_headers(settings)
        self._settings = settings
        if self._watch is None:
            self._watch = Watch()
        self.cache = init_backend(cache_name, backend, serializer=serializer, **kwargs)
        takes_none = isinstance(backend, BaseCache) and not self._backend_has_keywords
        backend_names = frozenset() if takes_none else self.cache.owned_keywords()
        super().__init__(**parent_keywords(type(self), CacheMixin, kwargs, backend_names))

    @property
    def cache(self) -> BaseCache:
        """The backend. Its methods use the settings of this session."""
        try:
            return self._cache  # type: ignore[no-any-return]
        except AttributeError:
            raise AttributeError(f'{type(self).__name__!r} object has no cache: it was deleted') from None

    @cache.setter
    def cache(self, cache: BaseCache) -> None:
        # Check the type itself, as a mock in a test may pretend to be a backend
        is_backend = issubclass(type(cache), BaseCache)
        self._cache: Any = cache.bound_to(self, self._settings) if is_backend else cache

    @cache.deleter
    def cache(self) -> None:
        del self._cache

    @property
    def settings(self) -> CacheSettings:
        """The settings of this session. They may be changed at any time."""
        return self._settings

    @settings.setter
    def settings(self, settings: CacheSettings) -> None:
        self._settings = settings
        self.cache = self._cache  # bind it to the new settings

    @settings.deleter
    def settings(self) -> None:
        self.settings = CacheSettings()

    @property
    def expire_after(self) -> ExpirationTime:
        """How long new responses are fresh; the same as `settings.expire_after`"""
        return self._settings.expire_after

    @expire_after.setter
    def expire_after(self, expire_after: ExpirationTime) -> None:
        self._settings.expire_after = expire_after

    @classmethod
    def wrap(cls: type[S], original_session: Session, **kwargs: Any) -> S:
        """Make a caching session that shares adapters, headers, cookies, authentication and so on with another session

        Args:
            original_session: The other session
            kwargs: As for `CachedSession`
        """
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
        """Make a request, or answer it from the cache

        Args:
            method, url, args, headers, kwargs: As for `requests.Session.request`
            expire_after: How long the response to this request is fresh, if it is stored; any value that the setting
                of the same name takes
            only_if_cached: Answer from the cache, or with a 504 response; never use the network
            refresh: Ask the origin about a stored response before it is used, if it has a validator (`ETag` or
                `Last-Modified`)
            force_refresh: Send the request to the origin, whatever is stored

        Raises:
            ValueError, TypeError: `expire_after` has no meaning; nothing has been sent
            requests.RequestException: The origin could not be reached, as without a cache
        """
        options = make_options(expire_after, only_if_cached, refresh, force_refresh)
        if options is not NO_OPTIONS:
            kwargs['hooks'] = with_options_hook(kwargs.get('hooks'), self.hooks, options)
        kwargs['headers'] = headers
        return super().request(method, url, *args, **kwargs)  # type: ignore[return-value]

    def prepare_request(self, request: Request) -> PreparedRequest:
        """As in `requests`. The prepared request carries the options of the call."""
        prepared = super().prepare_request(request)
        attach_options(prepared)
        return prepared

    def merge_environment_settings(self, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> Any:
        """As in `requests`, but the environment is searched for proxies only if it has changed"""
        return merge_settings(super().merge_environment_settings, url, proxies, stream, verify, cert)

    def send(
        self,
        request: PreparedRequest,
        expire_after: ExpirationTime = None,
        only_if_cached: bool = False,
        refresh: bool = False,
        force_refresh: bool = False,
        **kwargs: Any,
    ) -> AnyResponse:
        """Send a prepared request, or answer it from the cache; options as for `request()`"""
        options = make_options(expire_after, only_if_cached, refresh, force_refresh)
        if options is not NO_OPTIONS:
            request = copy_with_attached(request, options=options)
        return flow.send(self._exchange(request, kwargs, self.cache, self._watching))

    def _exchange(self, request: PreparedRequest, kwargs: dict[str, Any], cache: BaseCache, watch: Watch) -> Exchange:
        options = attached_to(request).options
        settings = self._settings
        if settings.url_settings:
            settings = settings.for_url(request.url)
        mode = mode_of(settings)
        disabled = self in _switched_off.values()
        policy = mode.request_policy(request.method, request.url, request.headers, settings, options, disabled)
        store = Store(cache, settings, kwargs, shared_by(cache).faults, watch, mode.exact_query)
        return Exchange(self, request, options, mode, policy, kwargs, store, watch)

    def explain(self, request: str | PreparedRequest | Response, url: Any = None, **kwargs: Any) -> Explanation:
        """Tell what would happen to a request, and why; or, given a response, what has happened

        The request is looked up and decided on as in `request()`, but nothing is sent, and the cache does not change.

        Args:
            request: A method, a prepared request, or a response that this session has just returned
            url: The URL, after a method
            kwargs: As for `request()`, or for `send()` with a prepared request. `search_limit` is the number of
                stored responses that are searched for similar requests on a miss (10,000 by default).

        Returns:
            An `Explanation`; `print()` shows it as a short text

        Raises:
            TypeError: The response did not come from a caching session
        """
        from .explain import explain

        return explain(self, request, url, **kwargs)

    def resolve_redirects(self, resp: Any, req: Any, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """As in `requests`. The options of a request apply to its redirects as well."""
        following: Iterator[Any] = super().resolve_redirects(resp, before_redirect(req), *args, **kwargs)
        return following

    def _send_to_origin(self, request: PreparedRequest, **kwargs: Any) -> Response:
        return super().send(request, **kwargs)

    def _send_and_cache(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse | None = None, **kwargs: Any
    ) -> AnyResponse:
        return flow.fetch(actions, request, cached_response)

    def _resend_async(
        self, request: PreparedRequest, actions: Plan, cached_response: CachedResponse, **kwargs: Any
    ) -> Thread | None:
        """Renew a stored response in a thread, which is returned, unless it is already being renewed"""
        refreshing = shared_by(self.cache).refreshing
        epoch = refreshing.epoch
        store = actions.exchange.store.abandoned_by(lambda: refreshing.epoch is not epoch)
        plan = actions._replace(exchange=actions.exchange._replace(store=store))
        key, url, ignored = str(actions.cache_key), plan.exchange.request.url, plan.exchange.settings.ignored_parameters
        return refreshing.start(key, url, lambda: flow.refresh(plan, request, cached_response), ignored)

    @property
    def _watching(self) -> Watch:
        watch = self._watch
        if watch is None:  # the session was created without calling `__init__`
            watch = self.__dict__.setdefault('_watch', Watch())
        return watch

    def subscribe(self, subscriber: Subscriber) -> Callable[[], None]:
        """Have a function called with an `Event` whenever this session or its cache does something

        The function is called in the thread in which the event happens, so it should be quick. If it raises an
        exception, the request goes on, and a warning is logged the first time.

        Args:
            subscriber: The function

        Returns:
            A function that ends the subscription
        """
        return self._watching.subscribe(subscriber)

    @property
    def stats(self) -> Statistics:
        """What this session has done so far, in numbers. With `install_cache()`, all sessions count together."""
        return self._watching.counters.read()

    def reset_stats(self) -> None:
        """Set all numbers in `stats` to zero"""
        self._watching.counters.reset()

    @contextmanager
    def cache_disabled(self) -> Iterator[None]:
        """A context manager. In the block, this session does not use its cache, in this thread or task only."""
        with _switched_off.enter(self):
            yield

    def close(self) -> None:
        """Close the session, and its backend too if `settings.autoclose` is true"""
        super().close()
        if self._settings.autoclose and '_cache' in self.__dict__:
            close(self._cache)

    def __repr__(self) -> str:
        return f'<CachedSession(cache={self.cache}, settings={self._settings})>'

    __str__ = __repr__


class CachedSession(CacheMixin, OriginalSession):
    """A `requests.Session` that answers from a cache where it can; arguments as for `CacheMixin`"""
