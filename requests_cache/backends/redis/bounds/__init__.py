"""Bounds of a storage in Redis; begin with `upkeep`"""
