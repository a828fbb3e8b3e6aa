"""What tests share"""
