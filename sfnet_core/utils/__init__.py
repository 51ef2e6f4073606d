"""TODO sfnet_core/utils"""
