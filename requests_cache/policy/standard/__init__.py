"""The rules of strict mode (`cache_control='strict'`): RFC 9111, RFC 9110, RFC 5861, RFC 8246 and RFC 9211"""
