"""``python -m sfnet_core.cli``: what the console script ``sfnet`` does."""

from sfnet_core.cli.verbs import main

if __name__ == "__main__":
    main()
