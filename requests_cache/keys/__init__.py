"""The parts of cache keys: URLs and bodies; comparing requests that have the same key; redacting secrets"""
