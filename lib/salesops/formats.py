"""The numbers of the formats of what this program writes and reads again.

Whoever changes a format raises its number here and adds the migration from the one before, with a test on the files
in `tests/fixtures/formats`. What has no number is of format 1.
"""

from salesops.problems import BadInput

BOOK = 3  # 2: tables in a folder of their own that `book.json` names; 3: dated splits and quotas, pipelines in `states`
SNAPSHOT = 2  # 2: every table, in a folder for each snapshot
MANIFEST = 2  # 2: the files that parameters name have hashes of their own
FINDINGS = 2  # 2: in `records/`, with its number in the file


def check(number: object, known: int, what: str) -> int:
    """The number of a format, once it is one that this version reads.

    Raises
    ------
    BadInput
        If it is no number, or that of a later version.
    """
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise BadInput(f"{what} cannot be read", [f"its format is {number!r}; expected a number from 1 to {known}"])
    if number > known:
        raise BadInput(
            f"{what} cannot be read",
            [f"a later version wrote it (format {number}; this one reads up to {known}): update SalesOps Playbook"],
        )
    return number
