"""TODO sfnet_core/reports"""
