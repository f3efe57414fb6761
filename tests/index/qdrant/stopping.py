"""A port whose process ends at one of its writes."""

CHANGES = {"write", "write_if", "set_vectors", "set_payload", "delete_matching", "create"}


class Killed(BaseException):
    """In place of the end of the process."""


class StoppingPort:
    """A port whose calls that change something end the process: before the n-th, or after it."""

    def __init__(self, port, calls, after=False):
        self.port, self.left, self.after = port, calls, after
        self.stopped = False

    def __getattr__(self, name):
        call = getattr(self.port, name)
        if name not in CHANGES:
            return call

        def counted(*arguments, **options):
            if self.stopped:
                raise Killed
            self.left -= 1
            self.stopped = self.left < 0
            if self.stopped and not self.after:
                raise Killed
            result = call(*arguments, **options)
            if self.stopped:
                raise Killed
            return result

        return counted

    def at(self, name):
        return self
