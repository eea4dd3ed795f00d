"""`occpose view` in a process of its own, as users run it."""

from __future__ import annotations

import re
import signal
import subprocess
import sys

_PATIENCE_S = 30.0


class ViewerProcess:
    """A viewer that has said where it is to be seen; a context manager that leaves no process behind."""

    def __init__(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "occpose_ros.cli", "view", *arguments]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def __enter__(self) -> ViewerProcess:
        assert self._process.stdout is not None
        self.greeting = self._process.stdout.readline().strip()
        found = re.search(r"http://[^:]+:(\d+)", self.greeting)
        assert found, self._process.communicate(timeout=_PATIENCE_S)[1]
        self.port = int(found.group(1))
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()  # so that it takes its files with it
        try:
            self._process.communicate(timeout=_PATIENCE_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.communicate()

    def end(self, number: signal.Signals = signal.SIGINT) -> tuple[int, str]:
        """Send a signal; the exit status, and what was said on stderr."""
        self._process.send_signal(number)
        return self.ended()

    def ended(self) -> tuple[int, str]:
        """Wait for the end; the exit status, and what was said on stderr."""
        errors = self._process.communicate(timeout=_PATIENCE_S)[1]
        return self._process.returncode, errors


def refused(*arguments: str, before: str = "") -> str:
    """What a viewer says on stderr that ends at once with status 2. before: Python that is run first."""
    code = f"import sys\n{before}\nfrom occpose_ros.cli import main\nsys.exit(main(['view', *sys.argv[1:]]))"
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_PATIENCE_S)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr
