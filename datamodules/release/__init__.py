"""Metadata of a release's performances: catalogue, selection and notes."""
