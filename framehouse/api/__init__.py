"""The HTTP server: the Video Inference API as its official client knows it, and our own under /v1."""
