"""Backends: where responses are stored"""

from .base import BackendSpecifier, BaseCache, BaseStorage, DictStorage
from .dynamodb import DynamoDbCache, DynamoDbDict
from .filesystem import FileCache, FileDict, LRUFileDict
from .gridfs import GridFSCache, GridFSDict
from .mongodb import MongoCache, MongoDict
from .paths import StrOrPath
from .redis import RedisCache, RedisDict, RedisHashDict
from .registry import BACKEND_CLASSES, init_backend
from .sqlite import SQLiteCache, SQLiteDict

__all__ = [
    'BACKEND_CLASSES',
    'BackendSpecifier',
    'BaseCache',
    'BaseStorage',
    'DictStorage',
    'DynamoDbCache',
    'DynamoDbDict',
    'FileCache',
    'FileDict',
    'GridFSCache',
    'GridFSDict',
    'LRUFileDict',
    'MongoCache',
    'MongoDict',
    'RedisCache',
    'RedisDict',
    'RedisHashDict',
    'SQLiteCache',
    'SQLiteDict',
    'StrOrPath',
    'init_backend',
]
