"""SalesOps Playbook: the questions of sales operations as parameterised notebooks."""

import os

__version__ = "0.1.0"

# Two BLAS threads on two busy cores spin on small products: 20 to 40 times the CPU time. This must
# happen before numpy is imported by anyone, so it is here; a value already set by the user stays.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_name, "1")


def load_ipython_extension(shell) -> None:
    """`%load_ext salesops`: what a scratch notebook needs, under the names that the playbook's notebooks use."""
    from salesops.scratch import load

    load(shell)
