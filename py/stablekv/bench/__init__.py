"""Benchmarks that check the answer before they time it: python -m stablekv.bench."""
