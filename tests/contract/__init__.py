"""The contract suites of `requests_cache.testing`, run on every backend"""
