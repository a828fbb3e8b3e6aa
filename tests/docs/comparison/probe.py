"""What the rows of the comparison try a package with: an origin, and stores of their own"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import requests
from packages import PACKAGES
from server import Origin, Page

ORIGIN = Origin()
FRESH = ('Cache-Control', 'max-age=60')


class Probe:
    """One package in one mode, with a store of its own for each row"""

    def __init__(self, package: str, mode: str) -> None:
        self._package, self._mode = package, mode
        self.path, self._opened, self._pages = '', 0, 0

    @property
    def next_store(self) -> str:
        return f'store{self._opened + 1}'

    def open(self, again: bool = False, **features: Any) -> requests.Session:
        self._opened += not again
        self.store = f'store{self._opened}'
        return PACKAGES[self._package](self.store, self._mode, **features)

    def page(self, *headers: tuple[str, str], **options: Any) -> str:
        self._next_path()
        return ORIGIN.page(self.path, *headers, **options)

    def program(self, *answers: Page) -> str:
        self._next_path()
        return ORIGIN.program(self.path, *answers)

    def _next_path(self) -> None:
        self._pages += 1
        self.path = f'/page{self._pages}'

    def sent(self) -> int:
        """How many requests came in for the last page"""
        return ORIGIN.counts.get(self.path, 0)

    def files(self) -> list[Path]:
        """The files of the last store that was opened"""
        found = [p for p in Path().rglob('*') if p.is_file() and self.store in p.as_posix() and p.suffix != '.lock']
        return [p for p in found if f'{self.store}.' in p.name or self.store in p.parts]

    def is_fetched_once(self, *headers: tuple[str, str], **options: Any) -> bool:
        """Whether the second of two requests for such a page is answered from the cache"""
        url, session = self.page(*headers, **options), self.open()
        session.get(url)
        session.get(url)
        return self.sent() == 1
