"""The laboratory: what the echo canceller does in synthetic rooms, beside what its peers published, in the same run."""
