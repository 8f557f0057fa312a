"""`python -m mematte_plugin`: the command line where the `mematte` script is not on the path."""

from .cli import main

main()
