"""The stages of the pipeline, each a program: `python -m pipeline.NAME`."""

import sys

from wsss.core.interrupt import end_while_starting

if sys.argv[0] == "-m":  # as a program, and before what takes time is loaded
    end_while_starting()

    from wsss.core.ranks import begin_as_rank

    begin_as_rank()
