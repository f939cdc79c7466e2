#!/usr/bin/env python3
"""Runs every command of the README and of docs/ in an empty clone, in order and as written.

The documents run in the order of the README's table of documents. Each line of a `console` block
that begins with `$ ` is a command, and the lines below it are its expected output, where `…` stands
for any text. `serve` and `emulate` run in the background until the end of their document; those of the
README run until the end of all. Commands of other parts of CI are skipped. Needs grpcurl.
"""

import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile

TIMEOUT_SECONDS = 600

# The log line of a service that is ready.
LISTENING = re.compile(r"\b(listening|emulating)\b")

# Commands that other parts of CI run.
SKIPPED = re.compile(r"^cargo test")

# A row of the README's table of documents.
ROW = re.compile(r"^\| \[[^]]+\]\((docs/[a-z-]+\.md)\) \|", re.MULTILINE)


def blocks(text):
    """Returns the `console` blocks of a text."""
    return re.findall(r"^```console\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)


def commands(block):
    """Yields each command of a block with its expected output."""
    for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        end = next(i for i, line in enumerate(lines) if not line.endswith("\\")) + 1
        yield "\n".join(lines[:end]), "\n".join(lines[end:])


def matches(expected, output):
    """Returns whether an output is the expected one."""
    pattern = ".*?".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, output.strip(), re.DOTALL) is not None


class Document:
    """Runs the commands of one document."""

    def __init__(self, clone, name):
        self.clone = clone
        self.name = name
        self.services = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.services:
            os.killpg(process.pid, signal.SIGTERM)
            process.wait(timeout=60)

    def run_all(self):
        print(f"# {self.name}", flush=True)
        for block in blocks((self.clone / self.name).read_text()):
            for command, expected in commands(block):
                self.run(command, expected)

    def run(self, command, expected):
        print(f"$ {command}", flush=True)
        if SKIPPED.match(command):
            print("  (skipped: another part of CI)")
        elif re.search(r"\b(serve|emulate)\b(?!.*--help)", command):
            self.start(command)
        else:
            self.finish(command, expected)

    def start(self, command):
        process = subprocess.Popen(
            command, shell=True, cwd=self.clone, start_new_session=True, text=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        )
        output = []
        for line in process.stderr:
            output.append(line)
            if LISTENING.search(line):
                self.services.append(process)
                return
        sys.exit(f"{self.name}: the service exited:\n{''.join(output)}")

    def finish(self, command, expected):
        done = subprocess.run(
            command, shell=True, cwd=self.clone, text=True, timeout=TIMEOUT_SECONDS,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        if not expected and done.returncode != 0:
            sys.exit(f"{self.name}: the command failed:\n{done.stdout}")
        if expected and not matches(expected, done.stdout):
            sys.exit(f"{self.name}: expected:\n{expected}\noutput:\n{done.stdout}")


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    # The clone is built in the target of the project: no dependency is compiled twice.
    os.environ.setdefault("CARGO_TARGET_DIR", str(root / "target"))
    os.environ["npm_config_loglevel"] = "error"
    # No load balancer has to notice the shutdown here.
    os.environ["IAI_FACADE_UNREADY_DELAY"] = "0s"
    with tempfile.TemporaryDirectory() as parent:
        # `cargo install` must not change the user's programs.
        os.environ["CARGO_INSTALL_ROOT"] = parent
        os.environ["PATH"] = f"{parent}/bin{os.pathsep}{os.environ['PATH']}"
        clone = pathlib.Path(parent) / "iai-facade"
        subprocess.run(["git", "clone", "--quiet", root, clone], check=True)
        names = ROW.findall((clone / "README.md").read_text())
        with Document(clone, "README.md") as readme:
            readme.run_all()
            for name in names:
                with Document(clone, name) as document:
                    document.run_all()
        changes = subprocess.run(
            ["git", "status", "--porcelain"], cwd=clone, check=True, capture_output=True, text=True
        )
        if changes.stdout:
            sys.exit(f"examples wrote files that are not git-ignored:\n{changes.stdout}")


if __name__ == "__main__":
    main()
