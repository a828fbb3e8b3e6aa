"""The rules of the contracts, each module about one subject"""
