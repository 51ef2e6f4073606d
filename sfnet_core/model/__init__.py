"""TODO sfnet_core/model"""
