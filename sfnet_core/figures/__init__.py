"""TODO sfnet_core/figures"""
