"""TODO sfnet_core/model/kernels"""
