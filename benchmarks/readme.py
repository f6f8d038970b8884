"""The results' place: each benchmark writes its part of benchmarks/README.md."""

import re
from pathlib import Path

PLACE = Path(__file__).with_name("README.md")


def write(part: str, lines: list[str]) -> None:
    """Put lines between the marks of a part, and print them."""
    begin, end = f"<!-- {part}: begin -->", f"<!-- {part}: end -->"
    body = "\n".join([begin, *lines, end])
    PLACE.write_text(re.sub(f"{begin}.*{end}", lambda _: body, PLACE.read_text("utf-8"), flags=re.DOTALL), "utf-8")
    print("\n".join(lines))
