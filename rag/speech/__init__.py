"""Answers read aloud and questions dictated, by models on this machine; both are off unless configured."""
