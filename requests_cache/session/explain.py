"""Explaining a request: the session prepares it as usual, and it is caught just before it is sent"""

from __future__ import annotations

from copy import copy
from typing import Any

from requests import PreparedRequest, Response

from ..engine import flow
from ..engine.carrying import copy_with_attached
from ..engine.explaining import SEARCH_LIMIT, Explanation, explain_response, peeking
from ..engine.explaining import explain as explain_exchange
from ..engine.watching import Watch
from ..policy.request import NO_OPTIONS
from .options import make_options


class _CaughtError(Exception):
    """Raised in place of sending a prepared request"""

    def __init__(self, request: PreparedRequest, kwargs: dict[str, Any]):
        super().__init__()
        self.request = request
        self.kwargs = kwargs


def explain(session: Any, request: Any, url: Any, search_limit: int = SEARCH_LIMIT, **kwargs: Any) -> Explanation:
    """See `CacheMixin.explain`"""
    if isinstance(request, Response):
        return explain_response(request, session.settings.for_url(request.url))
    if not isinstance(request, PreparedRequest):
        request, kwargs = _prepared(session, request, url, kwargs)
    else:
        kwargs = {'verify': session.verify, **kwargs}
    options = make_options(
        kwargs.pop('expire_after', None),
        kwargs.pop('only_if_cached', False),
        kwargs.pop('refresh', False),
        kwargs.pop('force_refresh', False),
    )
    if options is not NO_OPTIONS:
        request = copy_with_attached(request, options=options)
    cache = peeking(session.cache)
    exchange = session._exchange(request, kwargs, cache, Watch())
    return explain_exchange(exchange, flow.look_up, cache.responses, search_limit)


def _prepared(session: Any, method: str, url: Any, kwargs: dict[str, Any]) -> tuple[PreparedRequest, dict[str, Any]]:
    """The request that the session would send, and the arguments with which it would send it"""

    def catch(request: PreparedRequest, **send_kwargs: Any) -> None:
        raise _CaughtError(request, send_kwargs)

    twin = copy(session)
    twin.send = catch
    if method.upper() in ('GET', 'OPTIONS'):
        kwargs.setdefault('allow_redirects', True)
    elif method.upper() == 'HEAD':
        kwargs.setdefault('allow_redirects', False)
    try:
        twin.request(method, url, **kwargs)
    except _CaughtError as caught:
        return caught.request, caught.kwargs
    raise TypeError(f'{type(session).__name__}.request() did not send anything')
