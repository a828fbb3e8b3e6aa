"""Tables in a page, between marks"""

from __future__ import annotations

from pathlib import Path


def put_into(page: Path, name: str, parts: list[str]) -> None:
    """Replace what stands between the two marks of this name in a page

    Args:
        page: Path of the page
        name: As it is in `<!-- name: start -->` and `<!-- name: end -->`
        parts: Paragraphs and tables

    Raises:
        ValueError: The page has no such marks
    """
    start, end = f'<!-- {name}: start -->', f'<!-- {name}: end -->'
    before, start_found, rest = page.read_text('utf-8').partition(start)
    _, end_found, after = rest.partition(end)
    if not (start_found and end_found):
        raise ValueError(f'{page} has no place for what was measured: {start} {end}')
    page.write_text(before + start + '\n\n' + '\n\n'.join(parts) + '\n\n' + end + after, 'utf-8')
