"""What askers may import: questions over schema `analytics`, and people's word on it."""
