"""Directories and file systems of a test"""

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
    """The files in a directory, except the lock file that the package needs on Windows"""
    return [path for path in directory.iterdir() if path.name != LOCK_FILE]


def names_in(directory: Path) -> set[str]:
    """The names of these files"""
    return {path.name for path in files_in(directory)}


@contextmanager
def small_disk(directory: Path, size_bytes: int) -> Iterator[None]:
    """Mount a file system of limited size on a directory, until the end of the block; skips the test if that fails"""
    if not sys.platform.startswith('linux') or os.geteuid() != 0:
        pytest.skip('only root can mount a file system')
    command = ['mount', '-t', 'tmpfs', '-o', f'size={size_bytes}', 'tmpfs', str(directory)]
    if subprocess.run(command, capture_output=True).returncode:
        pytest.skip('no file system can be mounted here')
    try:
        yield
    finally:
        subprocess.run(['umount', '-l', str(directory)], check=True)
