"""The one kind of error that is a person's to mend. Imports nothing, so that `--help` is quick."""


class InputError(ValueError):
    """A person's input is wrong. The message is the whole report: what, where, and what to do, in one sentence.

    Commands print it without a traceback and exit with status 2. Anything else that is raised is a defect of ours.
    """
