"""What must never happen, whatever happens to the store"""
