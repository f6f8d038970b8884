"""Controls for the parameters of a notebook that is open in JupyterLab. Anywhere else there are none."""

import os
from typing import Literal, get_args, get_origin

from salesops import settings
from salesops.problems import BadInput

LAB = "JPY_SESSION_NAME"  # in the environment of kernels that a Jupyter server started for an open notebook


def controls(schema: type[settings.Params]) -> None:
    """Show a control for each parameter; what is chosen there is used by the cells below when they are run.

    Papermill, the runner and nbconvert see nothing of it.
    """
    from IPython import get_ipython
    from IPython.display import display

    shell = get_ipython()
    if shell is not None and os.environ.get(LAB):
        display(Panel(schema, shell.user_ns).box)


class Panel:
    """A control for each parameter of a schema, kept in step with the notebook's own variables."""

    def __init__(self, schema: type[settings.Params], namespace: dict):
        import ipywidgets as widgets

        self.schema, self.namespace = schema, namespace
        self.fields = {name: _control(name, field, namespace[name]) for name, field in schema.model_fields.items()}
        self.says = widgets.Label("Change a value, then run the cells below.")
        for name, field in self.fields.items():
            field.observe(lambda change, name=name: self.set(name, change["new"]), names="value")
        self.box = widgets.VBox([*self.fields.values(), self.says])

    def set(self, name: str, value: object) -> None:
        """Take a value; the schema says what is wrong with it."""
        self.namespace[name] = value
        try:
            self.schema.check({name: self.namespace[name] for name in self.fields}, where="the controls")
            self.says.value = "Run the cells below."
        except BadInput as error:
            self.says.value = "; ".join(map(str, error.problems))


def _control(name: str, field, value: object):
    """A list of choices, a number within its limits, or a line of text."""
    import ipywidgets as widgets

    look = {
        "description": name,
        "tooltip": field.description,
        "style": {"description_width": "9em"},
        "layout": widgets.Layout(width="34em"),
    }
    limits = {limit: getattr(one, limit) for one in field.metadata for limit in ("ge", "le") if hasattr(one, limit)}
    if get_origin(field.annotation) is Literal:
        return widgets.Dropdown(options=list(get_args(field.annotation)), value=value, **look)
    if field.annotation in (int, float) and set(limits) == {"ge", "le"}:
        kind = widgets.BoundedIntText if field.annotation is int else widgets.BoundedFloatText
        return kind(value=value, min=limits["ge"], max=limits["le"], **look)
    if field.annotation in (int, float):
        return (widgets.IntText if field.annotation is int else widgets.FloatText)(value=value, **look)
    return widgets.Text(value=str(value), continuous_update=False, **look)
