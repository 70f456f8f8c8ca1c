"""Placeholder."""


def page(results):
    """Write."""
    return ""
