#!/bin/sh
# docker build and volume seeding against a daemon of the test's own; as root. Argument: meson's build directory.
set -eu
cd "$(dirname "$0")"
BUILD=$(cd "${1:-../../build}" && pwd)
python3 -B build_seed_volume.py "$BUILD/src/worker/wherry-worker"
python3 -B build_steps.py "$BUILD"
python3 -B build_session.py "$BUILD"
