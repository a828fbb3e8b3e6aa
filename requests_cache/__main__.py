"""`python -m requests_cache` is `requests-cache`"""

from .cli import main

if __name__ == '__main__':
    main()
