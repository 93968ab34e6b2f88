"""Trains what reads from a model's states whether passages hold an answer (`rag.probe`)."""
