#!/bin/sh
# docker build and volume seeding against a daemon of the test's own; as root. Argument: meson's build directory.
set -eu
here=$(dirname "$(realpath "$0")")
BUILD=$(realpath "${1:-$here/../../build}")
python3 -B "$here/build_seed_volume.py" "$BUILD/src/worker/wherry-worker"
python3 -B "$here/build_steps.py" "$BUILD"
python3 -B "$here/build_session.py" "$BUILD"
python3 -B "$here/build_same.py" "$BUILD"
python3 -B "$here/build_named.py" "$BUILD"
python3 -B "$here/build_mounts.py" "$BUILD"
python3 -B "$here/build_engine.py" "$BUILD"
python3 -B "$here/build_foreign.py" "$BUILD"
python3 -B "$here/build_remote.py" "$BUILD"
python3 -B "$here/build_kept.py" "$BUILD"
