"""Cache what a program fetches through plain `requests`, without changing it"""

from __future__ import annotations

import requests
from local_api import LocalApi

import requests_cache


def unsuspecting_program(base_url: str) -> int:
    """A function that knows nothing about caches"""
    return int(requests.get(f'{base_url}/number').json()['answered'])


def main() -> None:
    with LocalApi() as api:
        with requests_cache.enabled(backend='memory'):
            answers = [unsuspecting_program(api.base_url) for _ in range(3)]
            print(f'inside enabled():   the server answered {len(set(answers))} of {len(answers)} requests')
            with requests_cache.disabled():
                answers = [unsuspecting_program(api.base_url) for _ in range(3)]
                print(f'inside disabled():  the server answered {len(set(answers))} of {len(answers)} requests')
        answers = [unsuspecting_program(api.base_url) for _ in range(3)]
        print(f'afterwards:         the server answered {len(set(answers))} of {len(answers)} requests')


if __name__ == '__main__':
    main()
