"""Serializers, which convert responses to the form that a backend stores"""

from .cattrs import CattrStage
from .pipeline import SerializerPipeline, SerializerType, Stage
from .preconf import (
    bson_document_serializer,
    bson_serializer,
    dict_serializer,
    dynamodb_document_serializer,
    json_serializer,
    orjson_serializer,
    pickle_serializer,
    safe_pickle_serializer,
    ujson_serializer,
    utf8_encoder,
    utf8_serializer,
    yaml_serializer,
)
from .registry import SERIALIZERS, init_serializer
from .sealing import new_encryption_key

__all__ = [
    'SERIALIZERS',
    'CattrStage',
    'SerializerPipeline',
    'SerializerType',
    'Stage',
    'bson_document_serializer',
    'bson_serializer',
    'dict_serializer',
    'dynamodb_document_serializer',
    'init_serializer',
    'json_serializer',
    'new_encryption_key',
    'orjson_serializer',
    'pickle_serializer',
    'safe_pickle_serializer',
    'ujson_serializer',
    'utf8_encoder',
    'utf8_serializer',
    'yaml_serializer',
]
