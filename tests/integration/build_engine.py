#!/usr/bin/env python3
"""`docker build`: the engine below the steps: graph, cache, limits, ends. Arguments: meson's build directory, then unittest's own."""
import os
import unittest

from build_lib import Case


class Graph(Case):
    def test_stages_without_need_of_each_other_run_at_the_same_time(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core: stages run one after another")
        wait = "RUN --mount=type=cache,target=/c touch /c/%s; until [ -e /c/%s ]; do sleep 0.02; done; rm /c/%s; touch /%s\n"
        got = self.build("FROM base:1 AS a\n" + wait % ("a", "b", "b", "a") + "RUN echo a-is-done\nFROM base:1 AS b\n" +
                         wait % ("b", "a", "a", "b") + "RUN echo b-is-done\nFROM base:1\nCOPY --from=a /a /\nCOPY --from=b /b /\n",
                         "--no-cache")
        self.assertEqual(self.show("ls /a /b"), "/a\n/b\n")
        # the classic text is that of one stage after another
        self.assertLess(got.stdout.index("a-is-done"), got.stdout.index("FROM base:1 AS b"))
        self.assertLess(got.stdout.index("b-is-done"), got.stdout.index("COPY --from=a"))
        steps = [line.split()[1] for line in got.stdout.splitlines() if line.startswith("Step ")]
        self.assertEqual(steps, [f"{k}/9" for k in range(1, 10)])

    def test_the_first_failure_ends_the_other_stages(self):
        if len(os.sched_getaffinity(0)) < 2:
            self.skipTest("one core: stages run one after another")
        got = self.build("FROM base:1 AS a\nRUN --mount=type=cache,target=/f touch /f/a; sleep 1000\n"
                         "FROM base:1 AS b\nRUN --mount=type=cache,target=/f until [ -e /f/a ]; do sleep 0.02; done; rm /f/a; echo broken; exit 7\n"
                         "FROM base:1\nCOPY --from=a /etc/passwd /a\nCOPY --from=b /etc/passwd /b\n", "--no-cache", ok=False)
        self.assertEqual(got.returncode, 7)
        self.assertIn("\nbroken\n", got.stdout)
        self.assertIn("Dockerfile:4: The command", got.stderr)

    def test_a_trigger_copies_from_a_stage_of_this_file(self):
        self.build("FROM base:1\nONBUILD COPY --from=made /x /y\n", tag="trigger")
        self.build("FROM base:1 AS made\nRUN echo 1 > /x\nFROM trigger\nCOPY --from=made /x /z\n", "--no-cache")
        self.assertEqual(self.show("cat /y /z"), "1\n1\n")


class Limits(Case):
    def test_a_step_without_memory_says_so(self):
        got = self.build("FROM base:1\nRUN tail /dev/zero\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 137: it was killed: out of memory (limit 10MB)", got.stderr)
        got = self.build("FROM base:1\nRUN sh -c 'kill -9 $$'; exit $?\n", "--no-cache", "-m", "10m", ok=False)
        self.assertIn("returned a non-zero code: 137", got.stderr)
        self.assertNotIn("memory", got.stderr)

    def test_a_fork_bomb_ends_in_its_step(self):
        got = self.build("FROM base:1\nRUN cat /sys/fs/cgroup/pids/pids.max /sys/fs/cgroup/pids.max 2>/dev/null; "
                         "b() { b | b & }; b; true\nRUN echo after\n", "--no-cache")
        self.assertIn("\n2048\n", got.stdout)
        self.assertIn("\nafter\n", got.stdout)


if __name__ == "__main__":
    unittest.main()
