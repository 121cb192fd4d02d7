"""`python -m lightning_modules` is the `lightning` command."""

from lightning_modules.cli import main

if __name__ == "__main__":
    main()
