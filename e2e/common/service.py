"""Our binary as a service on a port and a folder of its own, and what the checks ask of it and of the system."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

START_S = 60
# How many times as long as on a machine that does nothing else all may take.
PATIENCE = int(os.environ.get("PATIENCE", "1"))
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


class Service:
    """`imagegen serve` on 127.0.0.1. Its log is `log.txt` beside its data."""

    def __init__(self, binary, folder, *arguments):
        self.binary, self.folder, self.arguments = binary, Path(folder), arguments
        self.data = self.folder / "data"
        self.log = self.folder / "log.txt"
        self.address = "127.0.0.1:0"
        self.process = None
        self.folder.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        return self.start()

    def __exit__(self, *_):
        self.kill()

    def start(self):
        """Starts, again on the same port where it ran before."""
        before = self.log.stat().st_size if self.log.exists() else 0
        command = [self.binary, "serve", "--address", self.address, "--data", self.data, *self.arguments]
        with open(self.log, "ab") as log:
            self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        end = time.monotonic() + START_S * PATIENCE
        while time.monotonic() < end:
            said = self.log.read_bytes()[before:].decode()
            if found := re.search(r"serving http://(\S+?)/ ", said):
                self.address = found[1]
                return self
            if self.process.poll() is not None:
                sys.exit(f"error: the service ended with {self.process.returncode}: {said}")
            time.sleep(0.05)
        sys.exit(f"error: the service does not serve after {START_S} s")

    @property
    def url(self):
        return f"http://{self.address}"

    @property
    def port(self):
        return int(self.address.rsplit(":", 1)[1])

    def kill(self):
        """Ends it as a power cut would."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()

    def stop(self, within_s):
        """Asks it to end. Gives how long that took."""
        start = time.monotonic()
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(within_s)
        same("status after SIGTERM", status, 0)
        return time.monotonic() - start

    def is_up(self):
        return self.process.poll() is None

    def memory(self, field="VmRSS"):
        """Memory in MiB: VmRSS now, VmHWM at most."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(rf"{field}:\s+(\d+) kB", status)[1]) / 1024

    def call(self, method, path, body=None, headers=None, timeout_s=60):
        """Status, headers and body (read as JSON where it is) of an answer, be it a refusal."""
        headers = dict(headers or {})
        if isinstance(body, dict):
            body = json.dumps(body).encode()
            headers.setdefault("Content-Type", "application/json")
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        try:
            answer = urllib.request.urlopen(request, timeout=timeout_s)
        except urllib.error.HTTPError as refusal:
            answer = refusal
        with answer:
            got = answer.read()
            if answer.headers.get_content_type() == "application/json":
                got = json.loads(got)
            return answer.status, answer.headers, got

    def done(self, job, timeout_s=120, headers=None):
        """The job once it is over."""
        end = time.monotonic() + timeout_s * PATIENCE
        while True:
            status, _, got = self.call("GET", f"/api/v1/jobs/{job}", headers=headers)
            same(f"status of job {job}", status, 200)
            if got["state"] not in ("queued", "running"):
                return got
            if time.monotonic() > end:
                sys.exit(f"error: job {job} is {got['state']} after {timeout_s} s")
            time.sleep(0.1)

    def put(self, picture, headers=None):
        """Hash of a picture, put as a source."""
        status, _, got = self.call("POST", f"/api/v1/sources?name={picture.name}", picture.read_bytes(), headers)
        true("the picture is taken", status in (200, 201), f"{status} {got}")
        return got["sha256"]


def same(what, got, want):
    if got != want:
        sys.exit(f"error: {what} is {got!r}, expected {want!r}")


def true(what, holds, got=""):
    if not holds:
        sys.exit(f"error: not so: {what} {got}")
