"""`python -m generative`."""

from generative.cli import main

if __name__ == "__main__":
    main()
