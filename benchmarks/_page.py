"""Writing tables into a page, between two markers"""

from __future__ import annotations

from pathlib import Path


def put_into(page: Path, name: str, parts: list[str]) -> None:
    """Replace the text between the two markers with a name

    Args:
        page: Path of the page
        name: The name in `<!-- name: start -->` and `<!-- name: end -->`
        parts: Paragraphs and tables

    Raises:
        ValueError: The page does not have these markers
    """
    start, end = f'<!-- {name}: start -->', f'<!-- {name}: end -->'
    before, start_found, rest = page.read_text('utf-8').partition(start)
    _, end_found, after = rest.partition(end)
    if not (start_found and end_found):
        raise ValueError(f'{page} has no place for the tables; add these lines to it: {start} {end}')
    page.write_text(before + start + '\n\n' + '\n\n'.join(parts) + '\n\n' + end + after, 'utf-8')
