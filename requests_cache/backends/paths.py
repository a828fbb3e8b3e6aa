"""Paths of local caches, and explanations of why a path cannot be used"""

from __future__ import annotations

import errno
import os
import sys
from logging import getLogger
from pathlib import Path
from tempfile import gettempdir

from .busy_files import IS_WINDOWS

StrOrPath = Path | str
logger = getLogger(__name__)
_DISK_FULL = {errno.ENOSPC, getattr(errno, 'EDQUOT', errno.ENOSPC)}


def get_cache_path(db_path: StrOrPath, use_cache_dir: bool = False, use_temp: bool = False) -> Path:
    """The absolute path of a cache; its parent directories are created

    If the user has no home directory, as in some containers, the directory for temporary files is used instead.

    Args:
        db_path: A path; `~` stands for the home directory
        use_cache_dir: Put a relative path under the user's cache directory; takes precedence over `use_temp`
        use_temp: Put a relative path under the directory for temporary files

    Raises:
        FileExistsError: One of the parent directories is a file
        PermissionError: The path is in the directory for temporary files, and belongs to another user
    """
    path = resolve_path(db_path, use_cache_dir, use_temp)
    make_parents(path)
    return path


def resolve_path(db_path: StrOrPath, use_cache_dir: bool = False, use_temp: bool = False) -> Path:
    """As `get_cache_path`, but without creating directories"""
    path = _expand_home(Path(db_path))
    if use_cache_dir:
        path = _user_cache_dir() / path
    elif use_temp and not path.is_absolute():
        root = Path(gettempdir())
        path = root / path
        check_owner(path, root)
    return path.absolute()


def _expand_home(path: Path) -> Path:
    """Replace `~` by the home directory, or by its substitute"""
    try:
        return path.expanduser()
    except RuntimeError:
        return Path(_substitute_home(), *path.parts[1:])


def _user_cache_dir() -> Path:
    from platformdirs import user_cache_dir

    try:
        return _expand_home(Path(user_cache_dir()))
    except RuntimeError:
        return _substitute_home()


def _substitute_home() -> Path:
    root = Path(gettempdir(), f'requests-cache-{_user_id()}')
    logger.warning('This user has no home directory, so the cache is kept in %s; specify a path, or set HOME', root)
    # Create it before the check, as nobody else can replace it after that
    _make_directory(root)
    check_owner(root, root.parent)
    return root


def make_parents(path: Path) -> None:
    """Create the parent directories of a path, which only their owner can read

    Raises:
        FileExistsError: One of them is a file
    """
    if os.path.isdir(path.parent):  # `Path.is_dir` may raise a PermissionError
        return
    for parent in reversed(path.parents):
        _make_directory(parent)


def _make_directory(path: Path) -> None:
    try:
        os.mkdir(path, 0o700)
    except FileExistsError:
        if not os.path.isdir(path):
            raise FileExistsError(
                f'Parent path exists and is not a directory: {path}. Either delete the file or choose a different path.'
            ) from None
    except OSError as e:
        # Upper directories need not be writable; if the cache itself is not, using it will raise an error
        logger.debug('Could not create the directory %s: %s', path, e)


def check_owner(path: Path, root: Path) -> None:
    """Check that all existing parts of a path below a world-writable directory belong to this user

    Raises:
        PermissionError: A part belongs to another user, who could replace it by a symbolic link
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
            raise PermissionError(
                f'{part} belongs to another user (ID {owner}), so the cache is not kept there; use another path'
            )


def explanation(path: Path, error: BaseException) -> str:
    """Why a file cannot be used and what to do about it, to be appended to an error message; empty if unknown

    Args:
        path: The file
        error: The exception that was raised
    """
    if getattr(error, 'errno', None) in _DISK_FULL or 'disk is full' in str(error):
        return ': the disk is full; free some space, or use another path'
    try:
        reason = _obstacle(path)
        in_temp = Path(gettempdir()) in path.parents
    except OSError:
        return ''
    if reason is None and IS_WINDOWS and isinstance(error, PermissionError):
        return ': another program may have it open; close it there, or use another path'
    return f': {reason}; {"" if in_temp else "set use_temp=True, or "}use another path' if reason else ''


def _obstacle(path: Path) -> str | None:
    """What prevents this process from reading, writing or creating a file; None if nothing was found"""
    folder = next(p for p in path.parents if os.path.exists(p))
    if not os.path.isdir(folder):
        return f'{folder} is not a directory'
    if not _has_access(folder, os.X_OK):
        return f'this user (ID {_user_id()}) has no access to the directory {folder}'
    if folder != path.parent:
        reason = _why_read_only(folder)
        return f'the directory {path.parent} does not exist and cannot be created: {reason}' if reason else None
    return (_obstacle_at(path) if os.path.lexists(path) else None) or _why_read_only(folder)


def _obstacle_at(path: Path) -> str | None:
    if os.path.isdir(path):
        return 'it is a directory'
    if not os.path.exists(path):
        return 'it is a broken symbolic link'
    if not os.path.isfile(path):
        return 'it is not a regular file'
    if not _has_access(path, os.R_OK):
        return f'this user (ID {_user_id()}) has no permission to read it'
    return _why_read_only(path)


def _why_read_only(path: Path) -> str | None:
    if sys.platform != 'win32' and os.statvfs(path).f_flag & os.ST_RDONLY:
        return f'{path} is on a read-only file system'
    kind = 'directory' if os.path.isdir(path) else 'file'
    return None if _has_access(path, os.W_OK) else f'the {kind} {path} is read-only for this user (ID {_user_id()})'


def _has_access(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _user_id() -> int | str:
    return os.geteuid() if hasattr(os, 'geteuid') else os.environ.get('USERNAME', 'unknown')
