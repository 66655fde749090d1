"""The loops within a pass, each beside the same loop in C: bench/Micro and bench/micro.c."""


def run(work, rounds):
    return []
