#!/usr/bin/env python3
"""Builds by BuildKit's API with our own CLI: named contexts, where errors are, checks. Arguments: meson's build directory."""
import os
import subprocess
import unittest

from build_lib import BUILD, Case

WHERRY = os.path.join(BUILD, "src/wherry/wherry")


class Named(Case):
    def wherry(self, dockerfile, *args, ok=True):
        self.file("c/Dockerfile", dockerfile)
        done = subprocess.run([WHERRY, "build", "--progress=plain", "-t", "t", *args, self.context + "/c"], env=self.daemon.env,
                              stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode == 0, ok, done.stdout)
        return done.stdout

    def show(self, script, base="t"):
        self.context, kept = self.context + "/show", self.context
        os.makedirs(self.context, exist_ok=True)
        text = super().show(script, base)
        self.context = kept
        return text

    def test_directories_and_images_take_the_place_of_names(self):
        self.file("lib/f", "one\n", mode=0o640)
        self.file("lib/sub/g", "two\n")
        text = ("FROM lib AS files\nFROM nothing AS whole\nRUN never run\nFROM docker.io/library/nosuch:latest\nCOPY --from=lib f /f\nCOPY --from=files /sub /s\nCOPY --from=whole f /w\n"
                "RUN --mount=from=lib,target=/m cat /m/sub/g /f > /h\nCOPY --from=tools /etc/passwd /p\n")
        args = (f"--build-context=lib={self.context}/lib", f"--build-context=whole={self.context}/lib", "--build-context=nosuch=docker-image://base:1",
                "--build-context=tools=docker-image://base:1")
        self.wherry(text, *args)
        self.assertEqual(self.show("cat /h /s/g; stat -c '%a %u' /f; head -n 1 /p"), "two\none\ntwo\n640 0\nroot:x:0:0:root:/root:/bin/sh\n")
        said = self.wherry(text, *args)
        self.assertEqual(said.count("CACHED"), 5, said)
        self.file("lib/f", "new\n", mode=0o640)
        self.wherry(text, *args)
        self.assertEqual(self.show("cat /h /f /w"), "two\nnew\nnew\nnew\n")

    def test_a_name_that_is_no_directory_is_refused(self):
        said = self.wherry("FROM x\n", "--build-context=x=oci-layout:///nowhere@sha256:" + "0" * 64, ok=False)
        self.assertIn("x", said)

    def test_errors_and_warnings_have_their_place(self):
        said = self.wherry("FROM base:1 AS Up\n\nCOPY nope /\n", ok=False)
        self.assertIn("StageNameCasing: Stage name 'Up' should be lowercase (line 1)", said)
        self.assertNotIn("StageNameCasing: StageNameCasing", said)
        self.assertIn("   3 | >>> COPY nope /\n", said)
        self.assertEqual(said.count("] load build definition from Dockerfile"), 1, said)
        said = self.wherry("FROM base:1\nFORM x\n", ok=False)
        self.assertIn("Dockerfile:2: unknown instruction: FORM (did you mean FROM?)", said)
        self.assertIn("   2 | >>> FORM x\n", said)

    def test_a_check_builds_nothing(self):
        said = self.wherry("FROM base:1 AS Up\nRUN exit 1\nCMD x\n", "--check", ok=False)
        for words in ("WARNING: StageNameCasing - https://", "Dockerfile:1\n---", "WARNING: JSONArgsRecommended - ", "   3 | >>> CMD x\n"):
            self.assertIn(words, said)
        self.assertIn("Check complete, no warnings found.", self.wherry("FROM base:1\nRUN exit 1\n", "--check"))
        said = self.wherry("FROM base:1\nFORM x\n", "--check", ok=False)
        self.assertIn("ERROR: Dockerfile:2: unknown instruction: FORM (did you mean FROM?)\nDockerfile:2\n---", said)


if __name__ == "__main__":
    unittest.main()
