"""Sound itself: devices, formats, meters, the voice detector. Whatever touches samples and is no process's own."""
