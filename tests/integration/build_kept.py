#!/usr/bin/env python3
"""Contexts that come by a client's session: what is kept of them, and what COPY makes of it.

Arguments: meson's build directory, then unittest's own.
"""
import glob
import os
import signal
import subprocess
import unittest

from build_lib import BUILD, Case

COPY = "FROM base:1\nWORKDIR /c\nCOPY src /c/src\nCOPY . /c\n"


class Kept(Case):
    def build(self, dockerfile, *args, ok=True, tag="t"):
        """With our own client, which has a session."""
        self.file("Dockerfile", dockerfile)
        got = subprocess.run([os.path.join(BUILD, "src/wherry/wherry"), "build", "--progress", "plain", "-t", tag, *args, self.context],
                             env=self.daemon.env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=300, check=False)
        self.assertEqual(got.returncode == 0, ok, got.stdout + got.stderr)
        return got.stdout + got.stderr

    def in_image(self, script):
        got = self.daemon.docker("run", "--rm", "--network", "none", "t", "sh", "-c", script)
        self.assertEqual(got.returncode, 0, got.stderr)
        return got.stdout

    def trees(self):
        return glob.glob(self.daemon.data + "/build-cache/contexts/*/tree")

    def kept(self, name):
        """The kept file of that name in the context that has one: its path."""
        return [t + "/" + name for t in self.trees() if os.path.lexists(t + "/" + name)]

    def test_a_change_comes_through_and_nothing_else_is_made_again(self):
        self.file("src/a", "one\n")
        self.file("src/b", "two\n")
        self.build(COPY)
        self.assertEqual(self.in_image("cat /c/src/a /c/src/b"), "one\ntwo\n")
        self.assertEqual(self.build(COPY).count("CACHED"), 3)

        self.file("src/a", "other\n")
        self.build(COPY)
        self.assertEqual(self.in_image("cat /c/src/a /c/src/b"), "other\ntwo\n")
        self.file("src/a", "one\n")  # as it was, at another time
        self.assertEqual(self.build(COPY).count("CACHED"), 3)

    def test_layers_share_the_files_and_keep_theirs(self):
        self.file("linked-1", "first\n")
        self.build("FROM base:1\nCOPY . /c\n")
        kept = self.kept("linked-1")[0]
        self.assertEqual(os.stat(kept).st_nlink, 2)  # the context's, the layer's

        self.build("FROM base:1\nCOPY . /c\nRUN echo more >> /c/linked-1\n")
        with open(kept, encoding="utf-8") as f:
            self.assertEqual(f.read(), "first\n")
        self.build("FROM base:1\nCOPY --chmod=700 . /d\n")
        self.assertEqual(self.in_image("stat -c %a /d/linked-1"), "700\n")
        self.assertEqual(os.stat(kept).st_mode & 0o777, 0o644)

    def test_what_is_ignored_or_unused_does_not_come(self):
        self.file(".dockerignore", "secret*\n!secret-not\n")
        for name in ("secret-1", "secret-not", "used/x", "unused/x"):
            self.file(name)
        self.build("FROM base:1\nCOPY used /c/used\n")
        self.assertEqual(self.kept("unused/x"), [])
        self.build("FROM base:1\nCOPY . /c\n")
        self.assertEqual(self.in_image("cd /c; find . -type f | sort"), "./.dockerignore\n./Dockerfile\n./secret-not\n./unused/x\n./used/x\n")
        self.assertEqual(self.kept("secret-1"), [])

    def test_triggers_of_a_base_find_their_files(self):
        self.build("FROM base:1\nONBUILD COPY late /c/late\n", tag="trigger")
        self.file("late", "late\n")
        self.build("FROM trigger\n")
        self.assertEqual(self.in_image("cat /c/late"), "late\n")

    def test_a_killed_daemon_leaves_a_context_that_is_right(self):
        self.file("x", "one\n")
        self.build("FROM base:1\nCOPY . /c\n")
        self.daemon.stop(signal.SIGKILL)
        self.daemon.start()
        self.file("x", "two\n")
        self.build("FROM base:1\nCOPY . /c\n")
        self.assertEqual(self.in_image("cat /c/x"), "two\n")


if __name__ == "__main__":
    unittest.main()
