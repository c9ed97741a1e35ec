"""Keeping announces and items alive. Rate class: second."""
