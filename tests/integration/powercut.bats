# A few instants of tests/powercut/powercut, which says what it does; 100 of each are for who changes the store.
bats_require_minimum_version 1.5.0
load lib.bash

@test "after a power cut at any instant each image runs or is absent" {
	[ -c /dev/fuse ] && losetup -f >/dev/null 2>&1 || skip "no FUSE or no loop device"
	run "$ROOT/tests/powercut/powercut" --build "$BUILD" --mode cut --instants 4 --seed 7
	[ "$status" -eq 0 ] || fail "$output"
}

@test "after kill -9 of the daemon or a worker each image runs or is absent" {
	run "$ROOT/tests/powercut/powercut" --build "$BUILD" --mode kill --instants 3 --seed 7
	[ "$status" -eq 0 ] || fail "$output"
}
