"""File systems of the test's own"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from requests_cache.backends.filesystem.names import LOCK_FILE


def files_in(directory: Path) -> list[Path]:
    """What is in a directory, but for the file that Windows locks in its place"""
    return [path for path in directory.iterdir() if path.name != LOCK_FILE]


def names_in(directory: Path) -> set[str]:
    """Names of what is in a directory, but for the file that Windows locks in its place"""
    return {path.name for path in files_in(directory)}


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[None]:
    """A block in which a directory is a file system with so much room; the test is skipped where that cannot be done"""
    if not sys.platform.startswith('linux') or os.geteuid() != 0:
        pytest.skip('only root can mount a file system')
    command = ['mount', '-t', 'tmpfs', '-o', f'size={size_bytes}', 'tmpfs', str(directory)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip('no file system can be mounted here')
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(directory)], check=True)
