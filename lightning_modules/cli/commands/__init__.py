"""Tool verbs of the `lightning` command, found by file name: `commands/export.py` is `lightning export`.

A verb's module has a docstring (its first line is the help), `add_arguments(parser)`, which adds options to a
`jsonargparse.ArgumentParser`, and `run(options)`, which gets the parsed `jsonargparse.Namespace`.
"""
