"""YAML as people mean it: only true and false are booleans, dates and 010 stay text, no key twice."""

import re
from pathlib import Path

import yaml

from salesops.problems import BadInput

LARGEST = 2 << 20  # bytes of a file, which people write
MOST_NODES = 200_000  # values and names of a file


class _Loader(yaml.SafeLoader):
    """The core schema of YAML 1.2: `NO` is Norway, `2026-10-31` is text, `010` is text."""

    yaml_implicit_resolvers = {}

    def __init__(self, stream):
        super().__init__(stream)
        self.n_nodes = 0  # so far, with those that an alias stands for
        self.sizes: dict[str, int] = {}  # anchor -> the nodes that an alias of it stands for

    def compose_node(self, parent, index):
        event = self.peek_event()
        before = self.n_nodes
        if isinstance(event, yaml.AliasEvent):
            if event.anchor in self.anchors and event.anchor not in self.sizes:
                raise yaml.composer.ComposerError(None, None, f"*{event.anchor} stands in itself", event.start_mark)
            self.n_nodes += self.sizes.get(event.anchor, 0)
        self.n_nodes += 1
        if self.n_nodes > MOST_NODES:
            problem = f"more than {MOST_NODES:,} values, those of aliases counted each time"
            raise yaml.composer.ComposerError(None, None, problem, event.start_mark)
        node = super().compose_node(parent, index)
        if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
            self.sizes[event.anchor] = self.n_nodes - before
        return node

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
        if path.stat().st_size > LARGEST:
            raise BadInput(f"{path} cannot be read", [f"it is larger than {LARGEST >> 20} MB"])
        content = yaml.load(path.read_text(encoding="utf-8-sig"), Loader=_Loader)  # noqa: S506
    except FileNotFoundError:
        raise BadInput(f"{path} cannot be read", ["there is no such file"]) from None
    except BadInput:
        raise
    except RecursionError:
        raise BadInput(f"{path} cannot be read", ["lists and mappings stand too deeply inside each other"]) from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError, ValueError) as error:
        raise BadInput(f"{path} cannot be read", [" ".join(str(error).split())]) from None
    if content is None:
        content = {}
    if not isinstance(content, dict) or not all(isinstance(key, str) for key in content):
        raise BadInput(f"{path} cannot be used", ["expected lines of the form `name: value`"])
    return content
