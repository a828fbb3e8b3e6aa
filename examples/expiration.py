"""How long responses stay fresh: by URL patterns, by arguments of a request, and by the server's headers"""

from __future__ import annotations

from datetime import timedelta

from local_api import LocalApi

from requests_cache import DO_NOT_CACHE, NEVER_EXPIRE, CachedResponse, CachedSession, OriginalResponse


def show(label: str, response: OriginalResponse | CachedResponse) -> None:
    source = 'cache ' if response.from_cache else 'server'
    expires = response.expires.astimezone().strftime('%Y-%m-%d %H:%M:%S') if response.expires else '-'
    print(f'{label:32} from {source}  expires {expires}')


def main() -> None:
    with LocalApi(headers={'Cache-Control': 'max-age=60'}) as api:
        patterns = {'127.0.0.1*/static': NEVER_EXPIRE, '127.0.0.1*/live': DO_NOT_CACHE, '*': timedelta(hours=1)}
        with CachedSession(backend='memory', urls_expire_after=patterns) as session:
            print('By URL patterns (the first match counts)')
            for path in ('/news', '/static/logo', '/live/score'):
                session.get(api.base_url + path)
                show(f'  {path}, second request', session.get(api.base_url + path))

            print('By arguments of the request')
            show('  expire_after=5', session.get(f'{api.base_url}/five', expire_after=5))
            show('  force_refresh=True', session.get(f'{api.base_url}/news', force_refresh=True))

        with CachedSession(backend='memory', cache_control=True, expire_after=timedelta(days=1)) as session:
            print('By the server, which sends max-age=60')
            show('  cache_control=True', session.get(f'{api.base_url}/news'))


if __name__ == '__main__':
    main()
