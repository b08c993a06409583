"""The processes of side_by_side.py: one contender each, which trains when it is told to, by lines of JSON.

A worker writes {"ready": true, ...} once it is warm, or {"refuses": "why"}; answers "run N" by {"seconds": [one a step]};
and {"peak_bytes": N} at the end of its input. Between two lines it waits on its input, and takes no part of the machine.
"""

import json
import subprocess
import tempfile


class WorkerError(Exception):
    pass


class Worker:
    """Starts at once; ready() waits until it is warm."""

    def __init__(self, name, command, environment=None):
        self.name, self.command = name, [str(word) for word in command]
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(
            self.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self.errors,
            env=environment,
            text=True,
            bufsize=1,
        )

    def answer(self):
        """The next line that is an object of JSON; whatever else a program prints is not for us."""
        for line in iter(self.process.stdout.readline, ""):
            if line.startswith("{"):
                return json.loads(line)
        self.process.wait()
        self.errors.seek(0)
        last = " | ".join(self.errors.read().strip().splitlines()[-3:])
        raise WorkerError(f"{self.name} ended with {self.process.returncode}: {last or 'and said nothing'}")

    def ready(self):
        answer = self.answer()
        if not answer.get("ready") and "refuses" not in answer:
            raise WorkerError(f"{self.name} is neither ready nor refuses: {answer}")
        return answer

    def run(self, steps):
        """Seconds of each of so many steps."""
        try:
            self.process.stdin.write(f"run {steps}\n")
        except BrokenPipeError:
            pass  # it has ended: answer() says how
        seconds = self.answer().get("seconds")
        if not seconds or len(seconds) != steps or min(seconds) <= 0:
            raise WorkerError(f"{self.name} was to time {steps} steps and answered {seconds}")
        return seconds

    def finish(self):
        """Ends it; the most bytes that it had."""
        self.process.stdin.close()
        peak = self.answer()["peak_bytes"]
        self.process.wait()
        return peak

    def kill(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self.process.stdout.close()
        self.errors.close()
