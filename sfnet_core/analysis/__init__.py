"""TODO sfnet_core/analysis"""
