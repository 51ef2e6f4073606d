"""TODO sfnet_core/data/simulate"""
