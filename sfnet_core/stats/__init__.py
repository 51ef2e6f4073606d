"""TODO sfnet_core/stats"""
