#!/usr/bin/env python3
"""compose_flags.py DOCKER-COMPOSE [WHERRY]: which commands and flags of docker compose `wherry compose` lacks, has beside, or
spells otherwise. By hand: the other program is not in Debian 12. Exit status 1 when something differs that ABSENT does not name."""
import re
import subprocess
import sys

# What is not there on purpose; the manual says so.
ABSENT = {("", "bridge"), ("", "publish")}


def help_of(program, *words):
    return subprocess.run([*program, *words, "--help"], capture_output=True, text=True, check=False).stdout


def commands(text):
    return set(re.findall(r"^  ([a-z]+) {2,}\S", text.split("Options:")[-1], re.M)) | set(
        re.findall(r"^  ([a-z]+) {2,}\S", text.split("Commands:", 1)[-1], re.M))


def flags(text):
    """name -> (letter, type)"""
    found = {}
    for letter, name, kind in re.findall(r"^  (?:-(.), |    )--([A-Za-z-]+)(?: ([a-zA-Z]+))?(?: {2,}|$)", text, re.M):
        found[name] = (letter, kind)
    return found


def main():
    theirs = [sys.argv[1]]
    ours = [sys.argv[2] if len(sys.argv) > 2 else "build/src/wherry/wherry", "compose"]
    differs = False
    their_commands, our_commands = commands(help_of(theirs)), commands(help_of(ours))
    for name in sorted(their_commands - our_commands):
        if ("", name) not in ABSENT:
            print(f"no command {name}")
            differs = True
    for name in [""] + sorted(their_commands & our_commands):
        words = [name] if name else []
        a, b = flags(help_of(theirs, *words)), flags(help_of(ours, *words))
        for flag in sorted(a.keys() | b.keys()):
            if (name, flag) in ABSENT or a.get(flag) == b.get(flag):
                continue
            said = "lacks" if flag not in b else "has also" if flag not in a else f"differs {a[flag]} {b[flag]}"
            print(f"{name or 'compose'} --{flag}: {said}")
            differs = True
    return differs


sys.exit(main())
