"""The folder in which everything is made."""

import os
import shutil

from .process import Failure

MARK = ".vmrepl-bench"
# What is worth keeping for the next run.
KEPT = [MARK, "base.img", "base.made"]


def take(path):
    """The folder is ours only when it carries our mark: nothing else is ever removed."""
    path = os.path.realpath(path)
    if os.path.isdir(path) and os.listdir(path) and not os.path.exists(os.path.join(path, MARK)):
        raise Failure(f"{path} exists and was not made by this benchmark: name another folder with --work")
    os.makedirs(path, exist_ok=True)
    open(os.path.join(path, MARK), "w").close()
    clean(path)
    return path


def clean(path):
    """Leaves nothing but the base image."""
    for name in os.listdir(path):
        if name in KEPT:
            continue
        entry = os.path.join(path, name)
        if os.path.isdir(entry) and not os.path.islink(entry):
            shutil.rmtree(entry)
        else:
            os.remove(entry)
