"""Pairs to ordered, packed rows of tokens."""
