"""What makes two requests the same: URLs, bodies, secrets, and the comparison of what keys do not tell apart"""
