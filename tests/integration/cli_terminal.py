#!/usr/bin/env python3
"""cli_terminal.py WHERRY HOST [DAEMON_PID] - run, exec, attach and start with a terminal and without: how they end, and that the
terminal is afterwards as it was. Containers have names with term- in front. With DAEMON_PID the daemon is killed at last.
"""
import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
import unittest

WHERRY, HOST = sys.argv[1:3]
DAEMON = int(sys.argv[3]) if len(sys.argv) > 3 else 0
ENV = dict(os.environ, WHERRY_HOST=HOST, DOCKER_HOST=HOST)
SIZED = 'until [ "$(stty size 2>/dev/null)" = "33 99" ]; do sleep 0.05; done; '  # crun 1.8 starts with 0 0, resize follows
PATIENCE = 60  # seconds until something that never comes is given up


def run(*args, **kw):
    return subprocess.run([WHERRY, *args], env=ENV, capture_output=True, text=True, timeout=PATIENCE, **kw)


def until(what, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError(f"never: {what}")
        time.sleep(0.02)


def state(name, field="{{.State.Status}}"):
    return run("inspect", "-f", field, name).stdout.strip()


class Terminal:
    """A program at a terminal of its own."""

    def __init__(self, *args, rows=33, cols=99):
        self.master, self.slave = pty.openpty()
        self.resize(rows, cols)
        self.before = termios.tcgetattr(self.slave)
        self.seen = ""
        self.process = subprocess.Popen([WHERRY, *args], stdin=self.slave, stdout=self.slave, stderr=self.slave, env=ENV,
                                        preexec_fn=self.own_session)

    def own_session(self):
        os.setsid()
        fcntl.ioctl(self.slave, termios.TIOCSCTTY, 0)

    def resize(self, rows, cols):
        fcntl.ioctl(self.master, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))

    def type(self, text):
        os.write(self.master, text.encode())

    def pump(self):
        while select.select([self.master], [], [], 0)[0]:
            self.seen += os.read(self.master, 65536).decode(errors="replace")

    def shows(self, text):
        def there():
            self.pump()
            return text in self.seen
        until(f"{text!r} in {self.seen!r}", there)

    def is_raw(self):
        return not termios.tcgetattr(self.slave)[3] & termios.ICANON

    def ends(self):
        def ended():
            self.pump()
            return self.process.poll() is not None
        until(f"the end; {self.seen!r}", ended)
        self.pump()
        return self.process.returncode

    def restored(self):
        return termios.tcgetattr(self.slave) == self.before

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        os.close(self.master)
        os.close(self.slave)


class Terminals(unittest.TestCase):
    def setUp(self):
        self.terminals = []
        self.addCleanup(self.clean)

    def clean(self):
        for t in self.terminals:
            t.close()
        names = run("ps", "-aq", "--filter", "name=term-").stdout.split()
        if names:
            run("rm", "-fv", *names)

    def terminal(self, *args, **kw):
        t = Terminal(*args, **kw)
        self.terminals.append(t)
        return t

    def assert_left_as_it_was(self, t, status):
        self.assertEqual(t.ends(), status, t.seen)
        self.assertTrue(t.restored(), "the terminal is not as it was")

    def test_run_gives_size_and_status_and_restores(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "sh", "-c",
                          SIZED + "trap 'stty size; exit 7' WINCH; stty size; while :; do sleep 0.05; done")
        t.shows("33 99")
        self.assertTrue(t.is_raw())
        t.resize(44, 120)
        t.shows("44 120")
        self.assert_left_as_it_was(t, 7)

    def test_exec_too(self):
        run("run", "-d", "--name", "term-a", "bb", "sleep", "1000")
        t = self.terminal("exec", "-it", "term-a", "sh", "-c", SIZED + "echo size $(stty size); read x; exit 9")
        t.shows("size 33 99")
        t.type("\r")
        self.assert_left_as_it_was(t, 9)

    def test_keys_detach_and_attach_comes_back(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "sh", "-c", "echo ready; cat")
        t.shows("ready")
        until("raw", t.is_raw)
        t.type("\x10\x11")
        self.assert_left_as_it_was(t, 0)
        self.assertEqual(state("term-a"), "running")
        again = self.terminal("attach", "--detach-keys", "a,b", "term-a")
        until("raw", again.is_raw)
        again.type("xay\r")  # a alone is passed on
        again.shows("xay\r\nxay")
        again.type("ab")
        self.assert_left_as_it_was(again, 1)
        self.assertIn("read escape sequence", again.seen)
        self.assertEqual(state("term-a"), "running")

    def test_ctrl_c_goes_to_the_container(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "sh", "-c", "trap 'exit 5' INT; echo ready; while :; do sleep 0.05; done")
        t.shows("ready")
        until("raw", t.is_raw)
        t.type("\x03")
        self.assert_left_as_it_was(t, 5)

    def test_start_ai(self):
        run("create", "-it", "--name", "term-a", "bb", "sh", "-c", "echo ready; read x; echo got $x; exit 3")
        t = self.terminal("start", "-ai", "term-a")
        t.shows("ready")
        t.type("word\r")
        t.shows("got word")
        self.assert_left_as_it_was(t, 3)

    def test_a_removed_container_ends_it(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "sh", "-c", "echo ready; cat")
        t.shows("ready")
        until("raw", t.is_raw)
        run("rm", "-f", "term-a")
        self.assert_left_as_it_was(t, 137)

    def test_a_signal_ends_the_client_with_its_terminal_restored(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "sh", "-c", "echo ready; cat")
        t.shows("ready")
        until("raw", t.is_raw)
        t.process.send_signal(signal.SIGTERM)  # passed on: cat as pid 1 has no handler, sh neither
        run("kill", "term-a")
        self.assert_left_as_it_was(t, 137)

    def test_no_command_leaves_the_terminal(self):
        t = self.terminal("run", "-it", "--name", "term-a", "bb", "nosuchcommand")
        self.assert_left_as_it_was(t, 127)

    def signals(self, *args):
        p = subprocess.Popen([WHERRY, *args], env=ENV, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(p.communicate)
        self.addCleanup(lambda: p.poll() is None and p.kill())
        return p

    def test_signals_are_passed_on_without_a_terminal(self):
        p = self.signals("run", "--name", "term-a", "bb", "sh", "-c", "trap 'exit 6' TERM; echo ready; while :; do sleep 0.05; done")
        self.assertEqual(p.stdout.readline(), "ready\n")
        p.send_signal(signal.SIGTERM)
        self.assertEqual(p.wait(PATIENCE), 6)

    def test_a_killed_container_is_128_and_its_signal(self):
        p = self.signals("run", "--name", "term-a", "bb", "sh", "-c", "echo ready; exec sleep 1000")
        self.assertEqual(p.stdout.readline(), "ready\n")
        run("kill", "term-a")
        self.assertEqual(p.wait(PATIENCE), 137)

    def test_without_proxy_the_client_dies_alone(self):
        run("run", "-d", "--name", "term-a", "bb", "sh", "-c", "while :; do echo x; sleep 0.05; done")
        p = self.signals("attach", "--sig-proxy=false", "--no-stdin", "term-a")
        self.assertEqual(p.stdout.readline(), "x\n")
        p.send_signal(signal.SIGINT)
        p.wait(PATIENCE)
        self.assertEqual(state("term-a"), "running")

    def test_ctrl_c_ends_what_waits(self):
        run("run", "-d", "--name", "term-a", "bb", "sh", "-c", "echo ready; exec sleep 1000")
        until("the line", lambda: run("logs", "term-a").stdout == "ready\n")
        for command in (["logs", "-f", "term-a"], ["events"], ["wait", "term-a"]):
            p = self.signals(*command)
            if command[0] == "logs":
                self.assertEqual(p.stdout.readline(), "ready\n")
            else:
                until("it runs", lambda: os.path.basename(os.readlink(f"/proc/{p.pid}/exe")) == os.path.basename(WHERRY))
            p.send_signal(signal.SIGINT)
            self.assertIn(p.wait(PATIENCE), (130, -signal.SIGINT), command)
        self.assertEqual(state("term-a"), "running")

    def test_a_reader_that_leaves_ends_it(self):
        run("run", "-d", "--name", "term-a", "bb", "sh", "-c", "while :; do echo line; done")
        done = subprocess.run(["bash", "-c", f"{WHERRY} logs -f term-a | head -1; exit ${{PIPESTATUS[0]}}"], env=ENV,
                              capture_output=True, text=True, timeout=PATIENCE)
        self.assertEqual((done.stdout, done.returncode), ("line\n", 128 + signal.SIGPIPE))

    @unittest.skipUnless(DAEMON, "no daemon to kill")
    def test_z_a_killed_daemon_leaves_the_terminal(self):
        t = self.terminal("run", "-it", "--name", "term-z", "bb", "sh", "-c", "echo ready; cat")
        t.shows("ready")
        until("raw", t.is_raw)
        os.kill(DAEMON, signal.SIGKILL)
        self.assertNotEqual(t.ends(), 0)
        self.assertTrue(t.restored(), "the terminal is not as it was")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=int(os.environ.get("VERBOSE", "1")))
