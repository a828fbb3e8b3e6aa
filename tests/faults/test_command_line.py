"""The command line where permissions are missing, and a row of what may be damaged"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from support.stored import make_cache

from faults.local_caches import as_ordinary_user, give_to_ordinary_user
from requests_cache.cli.app import run

needs_permissions = pytest.mark.skipif(not hasattr(os, 'geteuid'), reason='there are no such permissions')


@needs_permissions
@pytest.mark.parametrize('wal', [False, True])
def test_a_database_that_may_not_be_written_to_can_be_looked_at(
    wal: bool, shared_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = shared_path / 'pages.sqlite'
    make_cache(path, wal=wal)
    run(['info', str(path)])  # which imports what another user may not
    give_to_ordinary_user(shared_path)
    path.chmod(0o400)
    shared_path.chmod(0o500)
    capsys.readouterr()
    with as_ordinary_user():
        assert run(['info', str(path)]) == 0
        assert run(['verify', str(path)]) == 0
        assert run(['delete', str(path), '--all', '--yes']) == 2
    out, err = capsys.readouterr()
    assert 'entries     6\n' in out
    assert 'this user (ID 65534)' in err or os.geteuid() != 0


@needs_permissions
@pytest.mark.parametrize('name', ['pages.sqlite', 'pages/'])
def test_a_cache_that_may_not_be_read_is_said_to_be_one(
    name: str, shared_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, given = shared_path / 'mine' / name, str(shared_path / 'mine' / name) + '/' * name.endswith('/')
    make_cache(path if name.endswith('.sqlite') else f'file://{path}/')
    path.chmod(0)
    (shared_path / 'mine').chmod(0o755)
    with as_ordinary_user():
        assert run(['list', given]) == 2
    assert capsys.readouterr().err == f'Error: {path} cannot be read: Permission denied.\n'
    (shared_path / 'mine').chmod(0o700)
    with as_ordinary_user():
        assert run(['list', given]) == 2
    assert capsys.readouterr().err == f'Error: {path} cannot be read: Permission denied.\n'
