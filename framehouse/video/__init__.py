"""Media: what a video file holds, which of its frames to take, and their pictures. The only importer of PyAV."""
