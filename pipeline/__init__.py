"""Raw sources to clean passages, and what every stage shares."""
