"""Bytes of one member of a release, wherever the release lies: in a folder, a zip file or on a server."""
