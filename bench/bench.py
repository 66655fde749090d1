"""Runs the benchmark: see README.md. Start it with scripts/bench."""

import json
import signal
import sys

from replbench import folder, machine, micro, namespace, options, report, tools
from replbench.process import Daemon, Failure
from replbench.session import Session, say
from replbench.targets import Judge


def measure(chosen):
    work = folder.take(chosen.work)
    say("installing and building what is needed (the first time takes some minutes)")
    tools.install(chosen.peers if not chosen.micro else [])
    description = machine.describe(work, chosen.seed, chosen.rounds, chosen.size)
    results, loops = [], []
    try:
        if not chosen.no_micro:
            say("\nLoops within a pass")
            loops = micro.measure(chosen, work, say)
        if not chosen.micro:
            programs = tools.build(work)
            namespace.enter()
            results = Session(chosen, programs, work).run()
    finally:
        Daemon.stop_all()
        folder.clean(work)
    show(chosen, description, results, loops)


def show(chosen, description, results, loops):
    verdicts = Judge(results, loops, description).judge()
    text = report.as_markdown(description, results, loops, verdicts)
    if chosen.json:
        with open(chosen.json, "w") as file:
            json.dump(report.as_json(description, results, loops, verdicts), file, indent=1)
            file.write("\n")
    if chosen.markdown:
        with open(chosen.markdown, "w") as file:
            file.write(text)
    print(text, end="")


def main():
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    chosen = options.parse(sys.argv[1:])
    try:
        measure(chosen)
    except Failure as failure:
        print(f"bench: {failure}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
