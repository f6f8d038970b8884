"""What commands take: names of files and of systems, refused at once where no file can be called so."""

import os
from pathlib import Path

import click

from salesops.problems import printable

LONGEST_NAME = 100  # characters of a system's name


class PathName(click.Path):
    """A path that a file can have, as a `Path`: not blank, without NUL, and not longer than the system allows."""

    def __init__(self):
        super().__init__(path_type=Path)

    def convert(self, value, param, ctx) -> Path:
        text = os.fspath(value)
        if not text:
            self.fail("it is blank; name a file or folder (. is the working folder).", param, ctx)
        if "\0" in text:
            self.fail(f"{printable(text)!r} holds a NUL character, which no name can.", param, ctx)
        try:
            os.lstat(text)
        except (FileNotFoundError, NotADirectoryError, PermissionError):
            pass  # whether it has to be there, the command says
        except (OSError, ValueError) as error:
            self.fail(f"{printable(text)!r}: {getattr(error, 'strerror', None) or error}.", param, ctx)
        return super().convert(value, param, ctx)


class Name(click.ParamType):
    """A name that can stand in the name of a file."""

    name = "text"

    def convert(self, value, param, ctx) -> str:
        if not value or len(value) > LONGEST_NAME or not value.isprintable():
            self.fail(f"{printable(value)!r}: write a name of 1 to {LONGEST_NAME} printable characters.", param, ctx)
        return value


PATH, NAME = PathName(), Name()
