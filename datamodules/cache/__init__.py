"""The PCM cache: how recordings are decoded into it, kept in it and read from it."""
