"""Style and types are part of the one test command"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize('arguments', ['ruff check .', 'ruff format --check .', 'mypy'])
def test_checkers_have_nothing_to_say(arguments: str) -> None:
    done = subprocess.run([sys.executable, '-m', *arguments.split()], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
