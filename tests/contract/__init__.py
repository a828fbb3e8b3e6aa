"""The contract of `requests_cache.testing`, asked of every backend"""
