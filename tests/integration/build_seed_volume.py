#!/usr/bin/env python3
"""seed-volume: a new volume gets what the image has there. Needs root; arguments: the wherry-worker program."""
import json
import os
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
import unittest

WORKER = sys.argv.pop(1) if len(sys.argv) > 1 else "build/src/worker/wherry-worker"


def run_job(name, request):
    ours, theirs = socket.socketpair()
    command = ["sh", "-c", f'exec 3<&{theirs.fileno()}; exec "$0" "$1"', WORKER, name]
    worker = subprocess.Popen(command, pass_fds=[theirs.fileno()])
    theirs.close()
    ours.sendall(json.dumps(request).encode() + b"\n")
    answer = ours.makefile().read()
    worker.wait(timeout=120)
    ours.close()
    return json.loads(answer.splitlines()[-1])


class SeedVolume(unittest.TestCase):
    def setUp(self):
        self.dir = tempfile.mkdtemp(prefix="wherry-seed.")
        self.addCleanup(shutil.rmtree, self.dir)
        self.layers = os.path.join(self.dir, "layers")
        self.target = os.path.join(self.dir, "_data")
        os.makedirs(self.target)

    def layer(self, name):
        path = os.path.join(self.layers, name)
        os.makedirs(os.path.join(path, "data"))
        return path

    def seed(self, *lower, path="/data"):
        return run_job("seed-volume",
                       {"layers_dir": self.layers, "lower": list(lower), "path": path, "target": self.target})

    def write(self, *parts, text="x"):
        path = os.path.join(*parts)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w") as f:
            f.write(text)
        return path

    def test_one_layer_with_owner_mode_links_and_xattrs(self):
        top = self.layer("a")
        f = self.write(top, "data", "sub", "file", text="hello")
        os.chown(f, 1000, 1001)
        os.chmod(f, 0o4750)
        os.link(f, os.path.join(top, "data", "sub", "twin"))
        os.symlink("/etc/passwd", os.path.join(top, "data", "link"))
        os.chown(os.path.join(top, "data"), 33, 34)
        os.chmod(os.path.join(top, "data"), 0o1770)
        self.assertEqual(self.seed("a"), {"result": {"copied": True}})
        got = os.stat(os.path.join(self.target, "sub", "file"))
        self.assertEqual((got.st_uid, got.st_gid, stat.S_IMODE(got.st_mode), got.st_nlink), (1000, 1001, 0o4750, 2))
        self.assertEqual(os.readlink(os.path.join(self.target, "link")), "/etc/passwd")
        root = os.stat(self.target)
        self.assertEqual((root.st_uid, root.st_gid, stat.S_IMODE(root.st_mode)), (33, 34, 0o1770))

    def test_layers_are_merged_and_whiteouts_hide(self):
        low, top = self.layer("low"), self.layer("top")
        self.write(low, "data", "gone")
        self.write(low, "data", "both", text="old")
        self.write(top, "data", "both", text="new")
        os.mknod(os.path.join(top, "data", "gone"), stat.S_IFCHR, 0)
        self.assertEqual(self.seed("top", "low"), {"result": {"copied": True}})
        self.assertEqual(os.listdir(self.target), ["both"])
        with open(os.path.join(self.target, "both")) as f:
            self.assertEqual(f.read(), "new")

    def test_a_volume_with_content_is_left_alone(self):
        self.write(self.layer("a"), "data", "x")
        self.write(self.target, "mine")
        self.assertEqual(self.seed("a"), {"result": {"copied": False}})
        self.assertEqual(os.listdir(self.target), ["mine"])

    def test_an_absent_path_copies_nothing(self):
        self.layer("a")
        self.assertEqual(self.seed("a", path="/nowhere"), {"result": {"copied": False}})

    def test_a_link_in_the_image_stays_inside_of_it(self):
        top = self.layer("a")
        os.symlink("/etc", os.path.join(top, "evil"))
        self.assertEqual(self.seed("a", path="/evil"), {"result": {"copied": False}})
        self.assertEqual(os.listdir(self.target), [])

    def test_nothing_stays_mounted(self):
        self.layer("a"), self.layer("b")
        self.seed("a", "b")
        with open("/proc/self/mounts") as f:
            self.assertNotIn(self.dir, f.read())


if __name__ == "__main__":
    unittest.main()
