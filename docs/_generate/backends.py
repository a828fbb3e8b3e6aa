"""Parts of the page about backends"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from texts import (
    default_of,
    described,
    first_line,
    is_published,
    parameters,
    published,
    sentence,
    since,
    table,
    type_of,
)

from requests_cache import BaseStorage
from requests_cache.backends.addresses import SCHEMES
from requests_cache.backends.base import DictStorage
from requests_cache.backends.dynamodb import DynamoDbDict
from requests_cache.backends.filesystem import FileDict
from requests_cache.backends.gridfs import GridFSDict
from requests_cache.backends.mongodb import MongoDict
from requests_cache.backends.redis import RedisDict
from requests_cache.backends.registry import BACKEND_CLASSES
from requests_cache.backends.sqlite import SQLiteDict
from requests_cache.backends.storage import STORAGE_KEYWORDS


class Backend(NamedTuple):
    """What signatures and docstrings do not say

    Args:
        title: Heading
        storage: Class of the storage of responses
        is_named_by: What the cache name stands for, such as a file
        extra: The extra to install
        url: An example of a URL
        by: What removes expired entries automatically: the server or, with `delete_expired_after`, the cache
        sharing: Who can share the cache
    """

    title: str
    storage: Any
    is_named_by: str
    extra: str | None
    url: str
    by: str
    sharing: str

    @property
    def name(self) -> str:
        return next(name for name, backend in BACKENDS.items() if backend is self)

    @property
    def cache_class(self) -> Any:
        return BACKEND_CLASSES[self.name]

    @property
    def module(self) -> str:
        """The module of 1.3 that defines its classes"""
        return 'base' if self.name == 'memory' else self.name


THIS = 'the cache'
BACKENDS = {
    'sqlite': Backend('SQLite', SQLiteDict, 'a file', None, 'sqlite:///my_cache.sqlite?wal=true', THIS, 'processes'),
    'filesystem': Backend('Files', FileDict, 'a directory', None, 'file:///var/cache/pages/', THIS, 'processes'),
    'memory': Backend('Memory', DictStorage, 'a label', None, 'memory:', THIS, 'threads'),
    'redis': Backend('Redis', RedisDict, 'a prefix', 'redis', 'redis://host:6379/0?namespace=api', 'Redis', 'hosts'),
    'mongodb': Backend('MongoDB', MongoDict, 'a database', 'mongodb', 'mongodb://host/database', 'MongoDB', 'hosts'),
    'gridfs': Backend('GridFS', GridFSDict, 'a database', 'mongodb', 'gridfs://host/database', THIS, 'hosts'),
    'dynamodb': Backend(
        'DynamoDB', DynamoDbDict, 'a table', 'dynamodb', 'dynamodb://table?region=eu-north-1', 'DynamoDB', 'hosts'
    ),
}
# Defaults of keywords that are not in the signature, because the storage takes them
DEFAULTS = {'block_bytes': 1, 'cluster': False, 'sync_index': False, 'use_cache_dir': False}


def _size(n_bytes: int) -> str:
    return f'{n_bytes >> 20} MiB' if n_bytes >= 1 << 20 else f'{n_bytes >> 10} KiB'


def _schemes(name: str) -> str:
    return ', '.join(f'`{scheme}:`' for scheme, backend in SCHEMES.items() if backend == name)


def overview() -> str:
    if missing := BACKEND_CLASSES.keys() ^ BACKENDS.keys():
        raise ValueError(f'only on one side: {missing}')
    rows = [
        (
            f'[{backend.title}](#{backend.title.lower()})',
            f'`{name}`',
            f'`{backend.cache_class.__name__}`',
            backend.is_named_by,
            f"`pip install 'requests-cache[{backend.extra}]'`" if backend.extra else '',
        )
        for name, backend in BACKENDS.items()
    ]
    return table(('backend', '`backend=`', 'class', 'its cache name is', 'to install'), rows)


def urls() -> str:
    rows = [(backend.title, f'`{backend.url}`', _schemes(name)) for name, backend in BACKENDS.items()]
    return table(('backend', 'example', 'schemes'), rows)


def _serializer(backend: Backend) -> str:
    parameter = parameters(backend.storage.__init__).get('serializer')
    return f'`{parameter.default.name}`' if parameter is not None else 'none: objects are kept'


def _has_leases(backend: Backend) -> bool:
    """Whether its storage has leases that other processes see"""
    return backend.storage.leases is not BaseStorage.leases


def _readable(backend: Backend) -> str:
    own = parameters(backend.cache_class.__init__).get('decode_content')
    if backend.name == 'memory':
        return 'no'
    return 'by default' if own is not None and own.default else 'if asked for'


def _cleaning(backend: Backend) -> str:
    by_itself = 'ttl' in parameters(backend.storage.__init__)
    return f'{backend.by}, {"always" if by_itself else "with `delete_expired_after`"}'


SHARING: dict[str, Callable[[Backend], str]] = {
    'can be shared by': lambda backend: backend.sharing,
    '`single_flight=` up to': lambda backend: "`'shared'`" if _has_leases(backend) else '`True`',
    '`max_cache_bytes`, `max_entries`': lambda backend: 'yes' if backend.storage.can_be_bounded else 'no',
    'expired entries are removed by': _cleaning,
}
CONTENT: dict[str, Callable[[Backend], str]] = {
    'default serializer': _serializer,
    'readable copy of bodies (`decode_content`)': _readable,
    'bodies are kept in pieces if longer than': lambda backend: _size(backend.storage.large_body_bytes),
}


def _abilities(columns: dict[str, Callable[[Backend], str]]) -> str:
    rows = [(backend.title, *(tell(backend) for tell in columns.values())) for backend in BACKENDS.values()]
    return table(('backend', *columns), rows)


def sharing() -> str:
    return _abilities(SHARING)


def content() -> str:
    return _abilities(CONTENT)


def common() -> str:
    found, texts = parameters(BaseStorage.__init__), described(BaseStorage)
    names = sorted(STORAGE_KEYWORDS)
    rows = [
        (f'`{name}`', type_of(found[name].annotation), default_of(name, found[name].default), sentence(texts[name]))
        for name in names
    ]
    return table(('keyword', 'type', 'default', 'what it does'), rows)


def _published(backend: Backend) -> frozenset[str]:
    """Keywords of 1.3, which are those of the cache and of its storages"""
    names = BACKEND_CLASSES['memory'].__name__, 'LRUFileDict', backend.storage.__name__, backend.cache_class.__name__
    module = f'requests_cache.backends.{backend.module}'
    return frozenset().union(*(published(module, name) for name in names if is_published(module, name)))


def _check(cls: Any, storage: Any, texts: dict[str, str], rest: str) -> None:
    """Check that the docstring of a class describes its keywords

    Raises:
        ValueError: A keyword is not described, or the class does not take a described keyword
    """
    needed = {*parameters(cls.__init__), *STORAGE_KEYWORDS}
    if not storage.can_be_bounded:
        needed -= {'max_cache_bytes', 'max_entries'}
    if missing := {name for name in needed if name not in texts and f'`{name}`' not in rest}:
        raise ValueError(f'{cls.__name__} does not describe {missing}')
    owned = cls.owned_keywords()
    if unknown := set(list(texts)[1:]) - owned:
        raise ValueError(f'{cls.__name__} does not take {unknown}')


def _one(backend: Backend) -> str:
    cls = backend.cache_class
    texts, found, of_all = described(cls), parameters(cls.__init__), parameters(BaseStorage.__init__)
    known, rest = _published(backend), texts.pop('kwargs')
    _check(cls, backend.storage, texts, rest)
    rows = []
    for name, text in texts.items():
        parameter = found.get(name) or of_all.get(name)
        default = parameter.default if parameter is not None else DEFAULTS.get(name)
        rows.append((f'`{name}`', default_of(name, default), sentence(text), since(name, known)))
    return (
        f'## {backend.title}\n\n`{cls.__name__}`: {first_line(cls)[0].lower()}{sentence(first_line(cls))[1:]}\n\n'
        f'{table(("keyword", "default", "what it does", "since"), rows)}\n\nFurther keywords: {sentence(rest)}'
    )


def keywords() -> str:
    return '\n\n'.join(map(_one, BACKENDS.values()))


PARTS = {
    'overview': overview,
    'urls': urls,
    'sharing': sharing,
    'content': content,
    'common': common,
    'keywords': keywords,
}
