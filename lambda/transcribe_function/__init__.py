"""The transcription function: audio in, text out. Nothing here imports `worker`."""
