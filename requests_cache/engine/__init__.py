"""What happens to a request; read `flow.py` first"""
