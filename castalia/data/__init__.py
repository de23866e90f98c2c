"""Data: sources and how they are fetched, people's own documents, mixtures and streams of batches."""
