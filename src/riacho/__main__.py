"""`python -m riacho` is `riacho`."""

from riacho.cli import main

main()
