"""What stored sentiment means: a period in one value, and its pictures and words."""
