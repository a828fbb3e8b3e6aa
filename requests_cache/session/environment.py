"""Proxy settings from the environment, read when a request is sent and not before

`requests` goes through the whole environment twice for each request to find proxies, which takes longer than to answer
the request from the cache.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, MutableMapping
from os import environ
from typing import Any

from requests import Session

# A URL without a host has no proxies; with it, `requests` merges all other settings without looking for them
_NO_HOST = ''


class LazyProxies(MutableMapping[str, str]):
    """A mapping of proxies that is made when it is first looked at"""

    __slots__ = ('_make', '_proxies')

    def __init__(self, make: Callable[[], dict[str, str]]):
        self._make = make
        self._proxies: dict[str, str] | None = None

    @property
    def proxies(self) -> dict[str, str]:
        if self._proxies is None:
            self._proxies = self._make()
        return self._proxies

    def __getitem__(self, key: str) -> str:
        return self.proxies[key]

    def __setitem__(self, key: str, value: str) -> None:
        self.proxies[key] = value

    def __delitem__(self, key: str) -> None:
        del self.proxies[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.proxies)

    def __len__(self) -> int:
        return len(self.proxies)

    def __repr__(self) -> str:
        return repr(self.proxies)

    def copy(self) -> dict[str, str]:
        return dict(self.proxies)


def merge_lazily(merge: Any, url: Any, proxies: Any, stream: Any, verify: Any, cert: Any) -> dict[str, Any]:
    """Call `Session.merge_environment_settings`, leaving proxies for later

    Args:
        merge: The bound method; one that is not that of `requests` is simply called
        url, proxies, stream, verify, cert: Its arguments
    """
    if getattr(merge, '__func__', None) is not Session.merge_environment_settings or not merge.__self__.trust_env:
        settings: dict[str, Any] = merge(url, proxies, stream, verify, cert)
        return settings
    if environ.get('REQUESTS_CA_BUNDLE') or environ.get('CURL_CA_BUNDLE'):
        settings = merge(_NO_HOST, None, stream, verify, cert)
    else:
        session = merge.__self__
        settings = {
            'stream': session.stream if stream is None else stream,
            'verify': session.verify if verify is None else verify,
            'cert': session.cert if cert is None else cert,
        }

    def make() -> dict[str, str]:
        made: dict[str, str] = merge(url, dict(proxies or {}), stream, verify, cert)['proxies']
        return made

    settings['proxies'] = LazyProxies(make)
    return settings
