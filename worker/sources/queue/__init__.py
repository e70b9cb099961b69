"""What a queue hands over: notices of objects, and records."""
