"""Serializers by name"""

from __future__ import annotations

from typing import Any

from .pipeline import SerializerPipeline
from .preconf import (
    bson_serializer,
    json_serializer,
    orjson_serializer,
    pickle_serializer,
    ujson_serializer,
    yaml_serializer,
)

SERIALIZERS: dict[str, SerializerPipeline] = {
    'bson': bson_serializer,
    'json': json_serializer,
    'ujson': ujson_serializer,
    'orjson': orjson_serializer,
    'pickle': pickle_serializer,
    'yaml': yaml_serializer,
}


def init_serializer(serializer: Any, decode_content: bool) -> SerializerPipeline | None:
    """Create the serializer of a storage

    Args:
        serializer: A name, a pipeline, a stage, any object with `dumps` and `loads`, or None
        decode_content: Add a readable copy of JSON and text bodies to entries

    Raises:
        KeyError: There is no serializer with this name
        MissingDependencyError: A library that the serializer needs is not installed
        TypeError: The object does not have the methods `dumps` and `loads`
    """
    if not serializer:
        return None
    if isinstance(serializer, str):
        if serializer not in SERIALIZERS:
            raise KeyError(f'Unknown serializer: {serializer!r}; use one of {sorted(SERIALIZERS)}, or pass an object')
        serializer = SERIALIZERS[serializer]
    if isinstance(serializer, SerializerPipeline):
        pipeline = serializer.copy()
    elif hasattr(serializer, 'dumps') and hasattr(serializer, 'loads'):
        pipeline = SerializerPipeline([serializer], name=str(serializer), is_binary=False)
    else:
        raise TypeError(f'A serializer needs the methods dumps() and loads(); {serializer!r} does not have both')
    pipeline.check_requirements()
    pipeline.set_decode_content(decode_content)
    return pipeline
