"""What `python -m stablekv doctor` finds out; one module a subject, none needs torch to import."""
