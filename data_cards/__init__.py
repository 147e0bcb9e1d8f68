"""Source cards that people write, and the data card of each recipe that cards.py renders."""
