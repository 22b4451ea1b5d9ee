"""What the library needs, readable without torch."""

MINIMUM_TORCH = (2, 10)
