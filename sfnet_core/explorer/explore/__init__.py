"""TODO sfnet_core/explorer/explore"""
