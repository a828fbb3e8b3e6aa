"""`python -m requests_cache` runs the command `requests-cache`"""

from .cli import main

if __name__ == '__main__':
    main()
