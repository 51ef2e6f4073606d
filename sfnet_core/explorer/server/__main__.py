"""``python -m sfnet_core.explorer.server``."""

from sfnet_core.explorer.server.app import main

if __name__ == "__main__":
    main()
