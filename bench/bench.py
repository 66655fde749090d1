"""Runs the benchmark: see README.md. Start it with scripts/bench."""

import json
import os
import signal
import sys

from replbench import machine, micro, options, report, tools
from replbench.process import Failure
from replbench.session import Session, say
from replbench.targets import Judge

MARK = ".vmrepl-bench"


def take_folder(path):
    """The folder is ours only when it carries our mark: nothing else is ever removed."""
    path = os.path.realpath(path)
    if os.path.isdir(path) and os.listdir(path) and not os.path.exists(os.path.join(path, MARK)):
        raise Failure(f"{path} exists and was not made by this benchmark: name another folder with --work")
    os.makedirs(path, exist_ok=True)
    open(os.path.join(path, MARK), "w").close()
    return path


def measure(chosen):
    work = take_folder(chosen.work)
    say("installing and building what is needed (the first time takes some minutes)")
    tools.install(chosen.peers if not chosen.micro else [])
    description = machine.describe(work, chosen.seed, chosen.rounds, chosen.size)
    results, loops = [], None
    if not chosen.no_micro:
        say("\nLoops within a pass")
        loops = micro.run(work, chosen.rounds)
    if not chosen.micro:
        session = Session(chosen, tools.build(work), work)
        tools.make_loopback_ours()
        try:
            results = session.run()
        finally:
            session.clean()
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
