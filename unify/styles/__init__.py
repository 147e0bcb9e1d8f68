"""One file a way of asking and answering."""
