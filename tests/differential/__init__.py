"""Differential test: this package and the published 1.3.3, side by side, over the same generated requests."""
