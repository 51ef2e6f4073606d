"""TODO sfnet_core/astro"""
