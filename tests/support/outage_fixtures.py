"""Fixtures for tests of stores that are unavailable; load them with `pytest_plugins`"""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from requests_cache.testing.origin import Origin
from support.outage import BODY


@pytest.fixture
def page(origin: Origin) -> str:
    origin.add('/page', body=BODY)
    return origin.url('/page')


@pytest.fixture
def warnings(caplog: pytest.LogCaptureFixture) -> Callable[[str], int]:
    """A function that counts the logged warnings that begin with a text"""
    return lambda text: sum(
        r.levelno == logging.WARNING and r.name.startswith('requests_cache') and r.getMessage().startswith(text)
        for r in caplog.records
    )
