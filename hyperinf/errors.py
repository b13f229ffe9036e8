"""The one error that a user can mend."""


class InputError(ValueError):
    """Input that cannot be used; the message is one line naming the thing and what was expected.

    The command line prints the line and exits with status 2. Anything else that is raised is a defect of
    hyperinf and keeps its traceback.
    """
