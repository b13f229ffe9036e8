"""Data of all kinds as samples: where they come from, how they are drawn, harmed, put into words, and kept."""
