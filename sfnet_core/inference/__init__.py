"""TODO sfnet_core/inference"""
