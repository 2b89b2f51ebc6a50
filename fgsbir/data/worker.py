"""Makes the calls that it reads from its standard input, pickled; `in_processes` starts it."""

from __future__ import annotations

import pickle
import signal
import sys

import cv2


def main() -> None:
    """Answers each call with its pickled result."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the process that asks ends this one
    cv2.setNumThreads(0)  # there is a process a core already
    while True:
        try:
            function, arguments = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        pickle.dump(function(*arguments), sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
