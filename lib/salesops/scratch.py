"""What `%load_ext salesops` gives a notebook: the data, the methods, the questions, and the look of the pages."""

import importlib

from salesops import project


def load(shell) -> list[str]:
    """Put `crm`, `stats`, `show`, `theme`, `periods` and every question into a notebook; gives the names."""
    from salesops import crm, periods, stats, theme
    from salesops.report import jobs, show

    questions = {name: importlib.import_module(f"salesops.{name}") for name in jobs.analyses(project.root())}
    names = {"crm": crm, "stats": stats, "show": show, "theme": theme, "periods": periods, **questions}
    shell.push(names)
    theme.apply()
    return list(names)
