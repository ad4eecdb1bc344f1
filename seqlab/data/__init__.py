"""Labelled text from its files to padded batches."""
