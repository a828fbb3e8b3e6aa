"""The processing of a request; start reading in `flow.py`"""
