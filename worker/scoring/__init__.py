"""Scorers: the Lambda, and TextBlob for when it is away."""
