"""Bounds of a storage in Redis; start reading with `upkeep`"""
