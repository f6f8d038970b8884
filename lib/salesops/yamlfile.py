"""YAML as people mean it: only true and false are booleans, dates and 010 stay text, no key twice."""

import re
from pathlib import Path

import yaml

from salesops.problems import BadInput


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2: `NO` is Norway, `2026-10-31` is text, `010` is text."""

    yaml_implicit_resolvers = {}

    def construct_mapping(self, node, deep=False):
        seen = set()
        for key, _ in node.value:
            name = self.construct_object(key, deep=True)
            if isinstance(name, (list, dict)) or name in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {name!r} stands twice or is not a word", key.start_mark
                )
            seen.add(name)
        return super().construct_mapping(node, deep)


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(0|[1-9][0-9]*)", list("-+0123456789")),
    ("float", r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", list("-+.0123456789")),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


def load(path: Path | str) -> dict:
    """The mapping that a YAML file holds.

    Raises
    ------
    BadInput
        If there is no such file, or it is not a YAML mapping of names to values.
    """
    path = Path(path)
    try:
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506
    except FileNotFoundError:
        raise BadInput(f"{path} cannot be read", ["there is no such file"]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, RecursionError, ValueError) as error:
        raise BadInput(f"{path} cannot be read", [" ".join(str(error).split())]) from None
    if content is None:
        content = {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadInput(f"{path} cannot be used", ["expected lines of the form `name: value`"])
    return content
