"""A signal ends a command with one line, and no child of it."""

from __future__ import annotations

import os
import signal

import pytest

from seqlab.engine.interrupt import Interrupt, ends_command, leaving
from seqlab.errors import warned


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_is_one_line_and_a_status(number, status, capsys):
    before = signal.getsignal(number)

    def work() -> None:
        with warned("a figure"):  # what guards figures and floors does not swallow it
            os.kill(os.getpid(), number)

    with pytest.raises(SystemExit) as ended, ends_command(), leaving("while training; continue with resume=X"):
        work()
    assert ended.value.code == status
    name = signal.Signals(number).name
    assert capsys.readouterr().err == f"Stopped by {name} while training; continue with resume=X.\n"
    assert signal.getsignal(number) is before


def test_the_training_loop_is_asked_first(capsys):
    with ends_command():
        with Interrupt() as interrupt:
            os.kill(os.getpid(), signal.SIGTERM)
        assert interrupt.received == "SIGTERM"
    assert capsys.readouterr().err == ""


def test_a_forked_child_obeys_the_signal():
    with ends_command():
        if (child := os.fork()) == 0:
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os._exit(7)
        _, status = os.waitpid(child, 0)
    assert os.WTERMSIG(status) == signal.SIGTERM
