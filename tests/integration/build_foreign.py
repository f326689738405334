#!/usr/bin/env python3
"""Programs of other architectures: RUN and `docker run`. Arguments: meson's build directory, then unittest's own.

The programs are a few instructions that print what uname(2) calls the machine. What the daemon registers with the kernel is taken back.
"""
import ctypes
import os
import struct
import subprocess
import tempfile
import unittest

from build_lib import Case

ARM = [0xe24ddc02,  # sub sp, sp, #512
       0xe1a0000d, 0xe3a0707a, 0xef000000,  # uname(sp)
       0xe3a00001, 0xe28d1f41, 0xe3a02004, 0xe3a07004, 0xef000000,  # write(1, sp + 260, 4)
       0xe3a00000, 0xe3a07001, 0xef000000]  # exit(0)
RISCV = [0xe0010113,  # addi sp, sp, -512
         0x00010513, 0x0a000893, 0x00000073, 0x00100513, 0x10410593, 0x00500613, 0x04000893, 0x00000073,
         0x00000513, 0x05d00893, 0x00000073]


def elf(machine, bits, flags, code):
    """A static program of one segment."""
    text = b"".join(struct.pack("<I", word) for word in code)
    base, head, entry = 0x10000, (52, 64)[bits == 64], (32, 56)[bits == 64]
    start, size = head + entry, head + entry + len(text)
    ident = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    header = struct.pack("<HHI" + "III" * (bits == 32) + "QQQ" * (bits == 64) + "IHHHHHH", 2, machine, 1, base + start, head, 0, flags,
                         head, entry, 1, 0, 0, 0)
    if bits == 32:
        segment = struct.pack("<IIIIIIII", 1, 0, base, base, size, size, 5, 0x1000)
    else:
        segment = struct.pack("<IIQQQQQQ", 1, 5, 0, base, base, size, size, 0x1000)
    return ident + header + segment + text


class Handlers:
    """binfmt_misc at a place of the test's own."""

    def __init__(self):
        self.dir = tempfile.mkdtemp(prefix="wherry-binfmt.")
        libc = ctypes.CDLL(None, use_errno=True)
        failed = libc.mount(b"none", self.dir.encode(), b"binfmt_misc", 0, None)
        self.reason = failed and os.strerror(ctypes.get_errno())
        self.before = self.names()

    def names(self):
        return set(os.listdir(self.dir)) - {"register", "status"}

    def close(self):
        for name in self.names() - self.before:
            if name.startswith("wherry-qemu-"):
                with open(f"{self.dir}/{name}", "w", encoding="ascii") as f:
                    f.write("-1")
        subprocess.run(["umount", "-l", self.dir], stderr=subprocess.DEVNULL, check=False)
        os.rmdir(self.dir)


class Foreign(Case):
    handlers = None

    @classmethod
    def setUpClass(cls):
        for program in ("arm", "riscv64"):
            if not os.path.exists(f"/usr/bin/qemu-{program}-static"):
                raise unittest.SkipTest("qemu-user-static is not installed")
        cls.handlers = Handlers()
        cls.addClassCleanup(cls.handlers.close)
        if cls.handlers.reason:
            raise unittest.SkipTest("binfmt_misc cannot be mounted: " + cls.handlers.reason)
        super().setUpClass()

    def test_steps_run_and_so_do_containers(self):
        for platform, machine, program in (("linux/arm/v7", "armv", elf(40, 32, 0x05000000, ARM)),
                                           ("linux/riscv64", "riscv", elf(243, 64, 0, RISCV))):
            self.file("prog", program, 0o755)
            got = self.build(f'FROM --platform={platform} scratch\nCOPY prog /prog\nRUN ["/prog"]\nCMD ["/prog"]\n', "--no-cache",
                             tag="foreign")
            self.assertIn(machine, got.stdout)
            self.assertEqual(self.inspect("foreign")["Architecture"], platform.split("/")[1])
            got = self.daemon.docker("run", "--rm", "--platform", platform, "foreign")
            self.assertEqual((got.stdout, got.returncode), (machine, 0), got.stderr)
        new = self.handlers.names() - self.handlers.before
        self.assertTrue(all(name.startswith("wherry-qemu-") for name in new), new)

    def test_an_unknown_architecture_is_refused(self):
        self.file("prog", b"\x7fELF", 0o755)
        got = self.build('FROM --platform=linux/z80 scratch\nCOPY prog /prog\nRUN ["/prog"]\n', ok=False)
        self.assertIn("Dockerfile:3: programs for z80 cannot run on this machine", got.stderr)


if __name__ == "__main__":
    unittest.main()
