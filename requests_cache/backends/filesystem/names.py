"""File names for keys, which may contain anything

A key that is a safe file name is used as it is, as in 1.x. Any other key gets a name that begins with a tilde, as no
plain name does:

    ~a%2Fb          a short key, percent-encoded
    ~%41bc          a key with capitals, where names that differ in case only are one file (Windows, macOS)
    ~~<SHA-256>     a key too long for a file name; the key is in a file beside it, `.requests-cache-<SHA-256>.json.key`

Names of entries never begin with a dot, so these files and temporary files are never mistaken for entries.
"""

from __future__ import annotations

import os
from hashlib import sha256
from pathlib import Path
from secrets import token_hex
from urllib.parse import quote, unquote_to_bytes

from ..._utils import lazy_pattern

MAX_NAME_LENGTH = 255
# Encoded names are unknown to 1.x, so they can be shorter: on Windows, a whole path may have 260 characters
MAX_ENCODED_LENGTH = 150
REDIRECTS_FILE = 'redirects.sqlite'
LRU_INDEX_FILE = 'lru.db'
_OWN_PREFIX = '.requests-cache-'
# For entries with large bodies
LARGE_DIRECTORY = f'{_OWN_PREFIX}large'
LEASES_DIRECTORY = f'{_OWN_PREFIX}leases'
# What Windows locks in place of a directory
LOCK_FILE = f'{_OWN_PREFIX}lock'

# Printable ASCII without what has a meaning in file names; a colon, for example, has one only on Windows
_PLAIN = lazy_pattern(r'(?![.~])[ !#-)+-.0-9;=@-\[\]-{}~]+' if os.name == 'nt' else r'(?![.~])[ -.0-\[\]-~]+')
_DEVICE = lazy_pattern(r'(?i)(con|conin\$|conout\$|prn|aux|nul|com\d|lpt\d) *(\.|$)')
_DEFAULT_KEY = lazy_pattern(r'[0-9a-f]{16}|[0-9a-f]{64}')
_LONG_NAME = lazy_pattern(r'~~[0-9a-f]{64}')
_ESCAPE_OR_CAPITAL = lazy_pattern(r'%[0-9A-F]{2}|[A-Z]')
_TEMP_FILE = lazy_pattern(r'\.requests-cache-[0-9a-f]{16}\.tmp')
_KEY_FILE = lazy_pattern(r'\.requests-cache-([0-9a-f]{64}\..*)\.key')
_OTHER_STORE = lazy_pattern(r'(redirects\.sqlite|lru\.db)(-[a-z]+)?')


def file_name(key: str, extension: str, folds_case: bool = False) -> str:
    """The file name for a key: a safe name, whatever the key contains, and different for different keys

    Args:
        key: The key
        extension: Extension of the file, with its dot
        folds_case: Whether the file system ignores case, so that names must differ in more than that
    """
    if _DEFAULT_KEY.fullmatch(key):
        return key + extension
    folds_case = folds_case and has_capitals(key)
    if not folds_case and _is_plain(key, extension):
        return key + extension
    data = key.encode('utf-8', 'surrogatepass')
    quoted = quote(data, safe='').replace('~', '%7E')
    if folds_case:
        quoted = _ESCAPE_OR_CAPITAL.sub(lambda m: m[0] if len(m[0]) > 1 else f'%{ord(m[0]):02X}', quoted)
    name = f'~{quoted}{extension}'
    return name if len(name) <= MAX_ENCODED_LENGTH else f'~~{sha256(data).hexdigest()}{extension}'


def has_capitals(key: str) -> bool:
    """Whether a key has capital letters, and so two possible names: one with them, one with escapes instead"""
    return key != key.lower()


def folds_case(directory: Path) -> bool:
    """Whether a directory ignores the case of file names, as far as existing names show"""
    try:
        with os.scandir(directory) as files:
            inside = next((Path(file.path) for file in files if file.name.swapcase() != file.name), None)
        known = inside or next((p for p in (directory, *directory.parents) if p.name.swapcase() != p.name), None)
        return known is not None and os.path.samefile(known, known.with_name(known.name.swapcase()))
    except OSError:
        return False


def _is_plain(key: str, extension: str) -> bool:
    return (
        _PLAIN.fullmatch(key) is not None
        and len(key) + len(extension) <= MAX_NAME_LENGTH
        and not _DEVICE.match(key)
        and not _OTHER_STORE.fullmatch(key + extension)
    )


def key_of(name: str, extension: str) -> str | None:
    """The key that a file name stands for; None if there is none, or if the key is kept in a separate file"""
    if not name.endswith(extension):
        return None
    key = name[: len(name) - len(extension)]
    if key.startswith('~'):
        try:
            key = unquote_to_bytes(key[1:]).decode('utf-8', 'surrogatepass')
        except ValueError:
            return None
    if file_name(key, extension) == name or (has_capitals(key) and file_name(key, extension, True) == name):
        return key
    return None


def is_long(name: str, extension: str) -> bool:
    """Whether a file name stands for a long key, which is kept in a separate file"""
    return name.endswith(extension) and _LONG_NAME.fullmatch(_stem(name, extension)) is not None


def key_file(path: Path) -> Path:
    """The file that holds the key of an entry with a long key"""
    return path.with_name(f'{_OWN_PREFIX}{path.name[2:]}.key')


def temp_file(directory: Path) -> Path:
    """A new path for a file that is about to be written"""
    return directory / f'{_OWN_PREFIX}{token_hex(8)}.tmp'


def is_entry(name: str, extension: str) -> bool:
    """Whether a file name is that of an entry"""
    return is_long(name, extension) or key_of(name, extension) is not None


def is_certainly_ours(name: str, extension: str) -> bool:
    """Whether only this package uses such file names; plain names of keys of your own could be those of any file"""
    return name.startswith('~') or _DEFAULT_KEY.fullmatch(_stem(name, extension)) is not None


def is_temporary(name: str) -> bool:
    """Whether a file name is that of a file that is being written, or that a killed writer left behind"""
    return _TEMP_FILE.fullmatch(name) is not None


def entry_of_key_file(path: Path, extension: str) -> Path | None:
    """The entry whose key is kept in a file; None if the file holds no key"""
    match = _KEY_FILE.fullmatch(path.name)
    return path.with_name(f'~~{match[1]}') if match and is_long(f'~~{match[1]}', extension) else None


def extension_for(serializer: object) -> str:
    """The extension, with its dot, of files that a serializer writes"""
    name = getattr(serializer, 'name', None)
    if not name:
        return '.dat'
    known = {'pickle': 'pkl', 'safe_pickle': 'pkl', 'ujson': 'json', 'orjson': 'json'}
    extension = f'.{known.get(name, name)}'
    # An object without a name is called by its `repr()`, which may contain a path, or an address that will change
    is_usable = _PLAIN.fullmatch(extension[1:]) and len(extension) < 80 and ' at 0x' not in extension
    return extension if is_usable else '.dat'


def _stem(name: str, extension: str) -> str:
    return name[: len(name) - len(extension)]
