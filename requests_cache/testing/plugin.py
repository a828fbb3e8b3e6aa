"""Fixtures for tests of programs that use this package

In a `conftest.py`: `pytest_plugins = ['requests_cache.testing.plugin']`
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from .clock import ManualClock
from .executor import ManualExecutor
from .origin import Origin


@pytest.fixture
def manual_clock() -> Iterator[ManualClock]:
    """The time of this process, which stands still until the test moves it"""
    with ManualClock() as clock:
        yield clock


@pytest.fixture
def manual_executor() -> Iterator[ManualExecutor]:
    """Holds back background refreshes until the test runs them"""
    with ManualExecutor() as executor:
        yield executor


@pytest.fixture
def origin() -> Iterator[Origin]:
    """A programmable HTTP server on loopback"""
    with Origin() as server:
        yield server
