"""Systems read as they are now, page by page, into a folder that `salesops import` reads like an export.

A reader gives pages of records and, with each, how far it has come: a mark by the moment of the last change. Going on
from the mark is at once the way to resume after an interruption and to read no more than what changed since the last
time. Secrets are in the environment alone.
"""

import importlib
import os
from pathlib import Path

from salesops.live.store import Stopped, Store
from salesops.problems import BadInput, printable

SYSTEMS = ("bitrix24", "hubspot", "salesforce")

__all__ = ["SYSTEMS", "Stopped", "fetch"]


def fetch(system: str, folder: Path, *, tell=lambda line: None) -> Path:
    """Read what is new in a system into `folder`; its `export/` holds all that was ever read, each record as it is now.

    Raises
    ------
    BadInput
        If there is no such system, its extra is not installed, or a variable is not set.
    Stopped
        If the system would not go on; what was read is kept, and the next call goes on from there.
    """
    if system not in SYSTEMS:
        raise BadInput(f"{printable(system)!r} cannot be read live", [f"allowed: {', '.join(SYSTEMS)}"])
    try:
        module = importlib.import_module(f"salesops.live.{system}")
    except ImportError as error:
        raise BadInput(
            f"{system} cannot be read", [f"{error.name} is not installed: pip install salesops[{system}]"]
        ) from None
    reader = module.Reader(os.environ)
    with Store(folder, system, reader.account) as store:
        for name in reader.objects:
            n_before = store.n_records
            for records, mark in reader.pages(name, store.mark(name)):
                store.add(name, records, mark, kept_as=reader.kept_as.get(name, name))
            tell(f"{name}: {store.n_records - n_before:,} new or changed")
        store.write(reader)
    return folder / "export"
