"""Passages to training pairs."""
