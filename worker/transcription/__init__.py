"""Speech to text for sources of audio: the call to the function, and what is kept of it."""
