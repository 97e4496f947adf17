"""The released `az`, a command after the other, each in a process of its own: a fork of one that has imported what those before it needed.

Importing is most of what a short command takes, and is the same for each. All else happens in the fork, from the first line of the released
program on, and ends with it.

Told on stdin, a line of JSON for each command: its words, and the files for what it says. Answers with a line: its exit status.
"""

import atexit
import gc
import importlib
import json
import os
import runpy
import sys


def main():
    # Ours alone: what a command says goes to its files.
    asked, answers = os.fdopen(os.dup(0)), os.fdopen(os.dup(1), "w")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    while line := asked.readline():
        command = json.loads(line)
        here, there = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(here)
            run(command, there)
            return
        os.close(there)
        with os.fdopen(here) as told:
            names = told.read().split()
        _, status = os.waitpid(child, 0)
        print(os.waitstatus_to_exitcode(status), file=answers, flush=True)
        for name in names:
            keep(name)
        gc.freeze()


def run(command, imported):
    """Becomes `az`. What it imported is told when everything else of it has ended."""
    for number, path in ((1, command["stdout"]), (2, command["stderr"])):
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.dup2(file, number)
        os.close(file)
    known = set(sys.modules)
    atexit.register(lambda: os.write(imported, "\n".join(set(sys.modules) - known).encode()))
    sys.argv = ["az", *command["words"]]
    runpy.run_module("azure.cli", run_name="__main__", alter_sys=True)


def keep(name):
    """Imports what a command did; some of it stands in files that are no modules."""
    try:
        importlib.import_module(name)
    except Exception:
        pass


main()
