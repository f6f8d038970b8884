"""papermill, without the file system of Hadoop: pages are handed to it as data, and Arrow takes long to import."""

import sys

_hidden = "pyarrow.fs" not in sys.modules
if _hidden:
    sys.modules["pyarrow.fs"] = None  # papermill says then, if asked, that hdfs:// is not there

import papermill  # noqa: E402
import papermill.engines  # noqa: E402

if _hidden:
    del sys.modules["pyarrow.fs"]

__all__ = ["papermill"]
