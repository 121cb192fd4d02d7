"""`python -m lightning_modules` is the `lightning` command."""

import sys
from os import getcwd
from os.path import dirname

# Python puts the working folder first, where any torch.py would stand in for torch
if sys.path and sys.path[0] == getcwd() != dirname(dirname(__file__)):
    del sys.path[0]

from lightning_modules.cli import main

if __name__ == "__main__":
    main()
