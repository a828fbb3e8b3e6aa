"""Where local caches live"""

from __future__ import annotations

import os
from logging import getLogger
from pathlib import Path
from tempfile import gettempdir

StrOrPath = Path | str
logger = getLogger(__name__)


def get_cache_path(db_path: StrOrPath, use_cache_dir: bool = False, use_temp: bool = False) -> Path:
    """The absolute path of a cache, whose parent directories are made

    Args:
        db_path: A path; `~` stands for the home directory
        use_cache_dir: Put a relative path under the user's cache directory; goes before `use_temp`
        use_temp: Put a relative path under the directory for temporary files

    Raises:
        FileExistsError: One of the parent directories is a file
        PermissionError: The path lies among temporary files, and somebody else owns what is there
    """
    path = Path(db_path).expanduser()
    if use_cache_dir:
        from platformdirs import user_cache_dir

        path = Path(user_cache_dir()) / path
    elif use_temp and not path.is_absolute():
        root = Path(gettempdir())
        path = root / path
        check_owner(path, root)
    path = path.absolute()
    make_parents(path)
    return path


def make_parents(path: Path) -> None:
    """Make the directories that a path lies in; those that are missing can be read by their owner only

    Raises:
        FileExistsError: One of them is a file
    """
    if path.parent.is_dir():
        return
    for parent in reversed(path.parents):
        _make_directory(parent)


def _make_directory(path: Path) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not path.is_dir():
            raise FileExistsError(
                f'Parent path exists and is not a directory: {path}. Either delete the file or choose a different path.'
            ) from None
    except OSError as e:
        # Upper directories need not be writable; whether the cache is, its use will show
        logger.debug('Could not make the directory %s: %s', path, e)


def check_owner(path: Path, root: Path) -> None:
    """Make sure that no part of a path below a directory that all may write to was made by somebody else

    Raises:
        PermissionError: One was, or could be replaced by a symbolic link of theirs
    """
    if not hasattr(os, 'geteuid'):
        return
    for part in (path, *path.parents):
        if part == root:
            break
        try:
            owner = part.lstat().st_uid
        except OSError:
            continue
        if owner != os.geteuid():
            raise PermissionError(f'{part} belongs to another user (ID {owner}), so no cache is kept there')
