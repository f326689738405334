#!/usr/bin/env python3
"""compose_terminal.py WHERRY HOST - compose's commands at a terminal, in a directory with a compose.yaml that has a service a."""
import unittest

from cli_terminal import Terminal, run, state, until


class ComposeTerminal(unittest.TestCase):
    def test_run_has_the_size_of_the_window_and_follows_it(self):
        t = Terminal("compose", "run", "--rm", "a", "sh", "-c", "trap 'stty size' WINCH; echo ready; while :; do sleep 0.05; done")
        t.shows("ready")
        self.assertTrue(t.is_raw())
        t.resize(41, 77)
        t.shows("41 77")
        t.type("\x03")
        self.assertEqual(t.ends(), 130)
        self.assertFalse(t.is_raw())

    def test_exec_has_a_terminal_and_its_status(self):
        run("compose", "up", "-d", "a")
        t = Terminal("compose", "exec", "a", "sh", "-c", "test -t 0 && read x && exit $x")
        t.type("7\n")
        self.assertEqual(t.ends(), 7)

    def test_detach_keys_leave_the_container_alone(self):
        run("compose", "up", "-d", "a")
        t = Terminal("compose", "attach", "--detach-keys", "ctrl-x,q", "a")
        until("raw", t.is_raw)
        t.type("\x18q")
        t.ends()
        self.assertFalse(t.is_raw())
        self.assertEqual(state("p-a-1"), "running")

    def test_an_interrupt_of_up_d_is_said(self):
        run("compose", "down", "-t", "0")
        t = Terminal("compose", "up", "-d", "waits")
        t.shows("Waiting")
        t.type("\x03")
        self.assertEqual(t.ends(), 130)
        self.assertIn("canceled", t.seen)


if __name__ == "__main__":
    unittest.main(argv=["compose_terminal"])
