"""The version: the build reads it here, and so does every file that says what wrote it."""

__version__ = "0.1.0"
