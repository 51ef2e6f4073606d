"""TODO sfnet_core/explorer/shared"""
