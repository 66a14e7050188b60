"""`python -m wsss`, and the command `wsss`."""

from wsss.core.interrupt import end_while_starting

end_while_starting()

from wsss.cli import main  # noqa: E402 -- what takes time is loaded after it

if __name__ == "__main__":
    main(prog_name="wsss")
