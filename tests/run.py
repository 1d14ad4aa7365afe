#!/usr/bin/env python3
"""Runs every test, ring by ring, with private servers, and says at the end how many ran in each.

  run.py                all rings: units and simulation, pages, browsers, contracts, end to end, a short fault run
  run.py --faults       the whole fault runs
  run.py --rabbitmq4    contracts and end to end on RabbitMQ 4

A ring that fails stops nothing: all are run, and the exit code says whether all passed.
"""

import argparse
import os
import re
import signal
import subprocess
import sys
import tempfile
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
SERVERS = [sys.executable, os.path.join(HERE, "servers.py"), "run", "--postgres", "--rabbitmq"]

CARGO = re.compile(r"^test result: \w+\. (?P<passed>\d+) passed; (?P<failed>\d+) failed; (?P<skipped>\d+) ignored", re.M)
VITEST = re.compile(r"^\s*Tests\s+(?:(?P<failed>\d+) failed \| )?(?P<passed>\d+) passed(?: \| (?P<skipped>\d+) skipped)?", re.M)
BROWSER = re.compile(r"^(?P<passed>\d+) passed, (?P<failed>\d+) problems$", re.M)


class Ring:
    """One group of tests and what became of it."""

    def __init__(self, name, *commands, counts=CARGO):
        self.name, self.commands, self.counts = name, commands, counts
        self.passed = self.failed = self.skipped = 0
        self.broken = False

    def run(self):
        began = time.monotonic()
        for command, environment in self.commands:
            print(f"\n── {self.name}: {' '.join(command)}", flush=True)
            output = self.watch(command, environment)
            counted = [found.groupdict() for found in self.counts.finditer(output)]
            self.passed += sum(int(found["passed"] or 0) for found in counted)
            self.failed += sum(int(found["failed"] or 0) for found in counted)
            self.skipped += sum(int(found.get("skipped") or 0) for found in counted)
        self.seconds = time.monotonic() - began

    def watch(self, command, environment):
        text = []
        process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.PIPE,
                                   stderr=subprocess.STDOUT, text=True, errors="replace", start_new_session=True)
        try:
            for line in process.stdout:
                sys.stdout.write(line)
                text.append(re.sub(r"\x1b\[[0-9;]*m", "", line))
            process.wait()
        except SystemExit:
            # Everything below it ends too: servers.py, which stops its servers, and what cargo runs.
            os.killpg(process.pid, signal.SIGTERM)
            process.communicate()
            raise
        if process.returncode != 0:
            self.broken = True
        sys.stdout.flush()
        return "".join(text)

    @property
    def is_good(self):
        return not self.broken and self.failed == 0 and self.skipped == 0 and self.passed > 0


def interrupted(number, _frame):
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise SystemExit(128 + number)


def cargo(*arguments, servers=False, environment=None):
    command = ["cargo", "test", "--locked", *arguments]
    if servers:
        command = SERVERS + ["--", *command]
    return command, environment or {}


def browser(script):
    # against the small servers beside the scripts, whatever the surroundings say of a daemon
    return ["node", os.path.join("web", "tests", script)], {"SPORTELLO_URL": ""}


# what a run that passes says of itself: kills, losses, times
FAULTS = ("--features", "faults", "--test", "faults", "--", "--show-output")


def everything():
    return [
        Ring("units, tables, simulation", cargo("--lib", "--bins", "--test", "settings_examples", "--test", "architecture", "--test", "metrics")),
        Ring("pages", (["npm", "--prefix", "web", "run", "check"], {}), (["npm", "--prefix", "web", "test"], {}), counts=VITEST),
        Ring("browsers", browser("chat.e2e.mjs"), browser("console.e2e.mjs"), counts=BROWSER),
        Ring("contracts", cargo("--test", "contract", servers=True)),
        Ring("end to end", cargo("--test", "end_to_end", servers=True)),
        Ring("faults, short", cargo(*FAULTS, servers=True)),
    ]


def faults():
    return [Ring("faults, whole", cargo(*FAULTS, servers=True, environment={"SPORTELLO_FAULTS": "whole"}))]


def rabbitmq4():
    servers = [sys.executable, os.path.join(HERE, "servers.py"), "run", "--postgres", "--rabbitmq4", "--"]
    tests = ["cargo", "test", "--locked"]
    return [
        Ring("contracts on RabbitMQ 4", (servers + tests + ["--test", "contract", "broker"], {})),
        Ring("end to end on RabbitMQ 4", (servers + tests + ["--test", "end_to_end"], {})),
    ]


def main():
    parser = argparse.ArgumentParser(description="Runs every test with private servers.")
    parser.add_argument("--faults", action="store_true", help="the whole fault runs instead")
    parser.add_argument("--rabbitmq4", action="store_true", help="on RabbitMQ 4 instead")
    options = parser.parse_args()
    rings = faults() if options.faults else rabbitmq4() if options.rabbitmq4 else everything()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupted)
    subprocess.run(["make", "--no-print-directory", "web"], cwd=ROOT, check=True)
    for ring in rings:
        ring.run()
    print("\n── how many tests ran in each ring")
    for ring in rings:
        verdict = "" if ring.is_good else "   <── FAILED"
        print(f"{ring.name:<28} {ring.passed:>5} passed, {ring.failed} failed, {ring.skipped} skipped  {ring.seconds:6.0f} s{verdict}")
    total = [sum(getattr(ring, what) for ring in rings) for what in ("passed", "failed", "skipped")]
    print("{} passed, {} failed, {} skipped".format(*total))
    sys.exit(0 if all(ring.is_good for ring in rings) else 1)


if __name__ == "__main__":
    main()
