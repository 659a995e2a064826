"""What the parts of scripts/gpu-check share: how they end, and the processes that they start."""

import json
import os
import shutil
import signal
import subprocess
import threading
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Programs of a build, by what they are for.
PROGRAMS = dict(loam="loam", ops="tests/op_device_test_against_ref", goldens="tests/parity_run_test_golden")
TARGETS = ["loam", "op_device_test_against_ref", "parity_run_test_golden"]
BUILD = ROOT / "build/release"
OWN_BUILD = ROOT / "build/gpu-check"  # with code for the cards of this machine alone
WARM_UP = 3  # steps that are not measured


class Skip(Exception):
    pass


class Failed(Exception):
    pass


def tail(text, lines=3):
    return " | ".join(line.strip() for line in text.strip().splitlines()[-lines:])


def run(check, command, limit, environment=None, cwd=None):
    """The output of a command that must succeed within `limit` seconds, or what is left of all time."""
    limit = min(limit, check.left())
    if limit < 1:
        raise Skip("no time is left")
    process = subprocess.Popen([str(part) for part in command], env=dict(check.environment, **(environment or {})),
                               cwd=cwd, text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                               start_new_session=True)
    try:
        output, _ = process.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        output, _ = process.communicate()
        check.log(command, output)
        raise Failed(f"{Path(str(command[0])).name} took more than {limit:.0f} seconds")
    check.log(command, output)
    if process.returncode != 0:
        raise Failed(f"{Path(str(command[0])).name} ended with {process.returncode}: {tail(output)}")
    return output


def run_json(check, command, limit, environment=None):
    output = run(check, command, limit, environment)
    start = output.index("{")
    return json.JSONDecoder().raw_decode(output[start:])[0]


class MemoryWatch:
    """The most memory of the GPU in use while it runs, beyond what was in use before; None without nvidia-smi."""

    def __init__(self, device):
        self.number = device.partition(":")[2] or "0"
        self.before, self.most, self.ended = self.used(), None, threading.Event()

    def used(self):
        if not shutil.which("nvidia-smi"):
            return None
        command = ["nvidia-smi", "--query-gpu=memory.used", "--format=csv,noheader,nounits", f"--id={self.number}"]
        done = subprocess.run(command, capture_output=True, text=True)
        return int(done.stdout.split()[0]) << 20 if done.returncode == 0 and done.stdout.strip() else None

    def watch(self):
        while not self.ended.wait(0.2):
            now = self.used()
            if now is not None:
                self.most = max(self.most or 0, now - self.before)

    def __enter__(self):
        self.thread = threading.Thread(target=self.watch)
        if self.before is not None:
            self.thread.start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        if self.thread.is_alive():
            self.thread.join()
