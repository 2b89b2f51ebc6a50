"""Makes the instances whose indices it reads from its standard input, one a line; `make_in_processes` starts it."""

from __future__ import annotations

import pickle
import signal
import sys
from typing import cast

import cv2

from fgsbir.data.procedural.generate import Category, make_instance


def main() -> None:
    """Reads category, sketches a photo, seed and size from the command line, and then indices."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Ctrl-C the process that asks for instances ends this one
    cv2.setNumThreads(0)  # there is a process a core already
    category, *numbers = sys.argv[1:]
    sketches_per_photo, seed, size = map(int, numbers)
    for index in sys.stdin:
        instance = make_instance(cast(Category, category), int(index), sketches_per_photo, seed, size)
        pickle.dump(instance, sys.stdout.buffer, pickle.HIGHEST_PROTOCOL)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
