/* What labels ask of disks, and the names that strangers' disks get. */
#include "device/storage_rule.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/json.h"
#include "base/mem.h"

static void both_forms_say_the_same(void **state)
{
	struct err e;
	scoped(storage_rule_free) struct storage_rule *a = storage_rule_parse("media",
		"label=MEDIA,at=/mnt//usb/,read_only=true,fsck=repair,required=false,fs=vfat+xfs",
		&e);
	scoped(storage_rule_free) struct storage_rule *b = storage_rule_parse("media",
		"{\"label\":\"MEDIA\",\"at\":\"/mnt/usb\",\"read_only\":true,\"fsck\":\"repair\","
		"\"required\":false,\"fs\":\"vfat+xfs\"}",
		&e);

	assert_non_null(a);
	assert_non_null(b);
	scoped(json) json_t *x = storage_rule_json(a);
	scoped(json) json_t *y = storage_rule_json(b);
	assert_true(json_equal(x, y));
	assert_string_equal(a->at, "/mnt/usb");
	assert_int_equal(a->fsck, STORAGE_FSCK_REPAIR);
	assert_true(a->read_only);
	assert_false(a->required);
}

static void what_is_written_comes_back_from_json(void **state)
{
	static const char *const texts[] = {"any,at=/mnt", "MEDIA,at=/mnt", "uuid=12AB-34CD,at=/x",
		"any=true,at=/mnt,required=true,fs=ext4"};
	for (size_t i = 0; i < sizeof(texts) / sizeof(*texts); i++) {
		struct err e;
		scoped(storage_rule_free) struct storage_rule *r =
			storage_rule_parse("n", texts[i], &e);
		assert_non_null(r);
		scoped(json) json_t *doc = storage_rule_json(r);
		scoped(free) char *text = json_text(doc);

		scoped(storage_rule_free) struct storage_rule *again =
			storage_rule_parse("n", text, &e);

		assert_non_null(again);
		scoped(json) json_t *doc2 = storage_rule_json(again);
		assert_true(json_equal(doc, doc2));
	}
}

static void a_named_disk_is_required_and_any_is_not(void **state)
{
	struct err e;
	scoped(storage_rule_free) struct storage_rule *one =
		storage_rule_parse("n", "uuid=1,at=/mnt", &e);
	scoped(storage_rule_free) struct storage_rule *any =
		storage_rule_parse("n", "any,at=/mnt", &e);

	assert_true(one->required);
	assert_false(any->required);
}

static void nonsense_is_refused(void **state)
{
	static const struct {
		const char *text, *says;
	} cases[] = {
		{"at=/mnt", "one of label, uuid and any"},
		{"label=A,uuid=B,at=/mnt", "one of label, uuid and any"},
		{"any,label=A,at=/mnt", "one of label, uuid and any"},
		{"label=A", "at must be an absolute path"},
		{"label=A,at=mnt", "at must be an absolute path"},
		{"label=A,at=/", "at cannot be /"},
		{"label=A,at=/x/../proc/1", "at cannot be /proc/1"},
		{"label=A,at=/dev", "at cannot be /dev"},
		{"label=A,at=/sys/fs", "at cannot be /sys/fs"},
		{"label=A,at=/m,fs=tmpfs", "fs must be names"},
		{"label=A,at=/m,fs=ext4+", NULL},
		{"label=A,at=/m,fs=+", "fs must be names"},
		{"label=A,at=/m,fsck=maybe", "fsck must be"},
		{"label=A,at=/m,read_only=yes", "read_only must be true or false"},
		{"label=A,at=/m,owner=1", "unknown setting 'owner'"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e = {0};
		scoped(storage_rule_free) struct storage_rule *r =
			storage_rule_parse("n", cases[i].text, &e);
		if (!cases[i].says) {
			assert_non_null(r);
			continue;
		}
		assert_null(r);
		assert_int_equal(e.kind, ERR_INVALID);
		assert_non_null(strstr(e.msg, "wherry.storage.n: "));
		if (!strstr(e.msg, cases[i].says)) {
			fail_msg("'%s' gives '%s'", cases[i].text, e.msg);
		}
	}
}

static void two_at_one_place_are_refused(void **state)
{
	struct err e;
	struct storage_rule **list;
	size_t n;
	scoped(json) json_t *labels = json_pack("{ss ss ss}", "wherry.storage.a", "A,at=/mnt",
		"wherry.storage.b", "B,at=/mnt/", "wherry.other", "x");

	assert_int_equal(storage_rules_read(labels, &list, &n, &e), -1);
	json_object_set_new(labels, "wherry.storage.b", json_string("B,at=/b"));
	assert_int_equal(storage_rules_read(labels, &list, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_string_equal(list[0]->name, "a");
	storage_rules_free(list, n);
}

static void rules_mean_the_disks_they_say(void **state)
{
	static const struct {
		const char *rule, *label, *uuid, *fstype;
		bool comes_and_goes, matches;
	} cases[] = {
		{"label=MEDIA,at=/m", "MEDIA", "", "ext4", false, true},
		{"label=MEDIA,at=/m", "media", "", "ext4", true, false},
		{"label=MEDIA,at=/m", "MEDIA2", "", "ext4", true, false},
		{"label=MEDIA,at=/m", "MEDIA", "", "squashfs", true, false},
		{"label=MEDIA,at=/m,fs=squashfs", "MEDIA", "", "squashfs", true, true},
		{"uuid=12ab-34CD,at=/m", "", "12AB-34cd", "vfat", true, true},
		{"uuid=12ab-34CD,at=/m", "", "", "vfat", true, false},
		{"any,at=/m", "", "", "ntfs", true, true},
		{"any,at=/m", "", "", "ntfs", false, false},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		struct err e;
		scoped(storage_rule_free) struct storage_rule *r =
			storage_rule_parse("n", cases[i].rule, &e);
		assert_non_null(r);
		assert_int_equal(storage_rule_matches(r, cases[i].label, cases[i].uuid,
					 cases[i].fstype, cases[i].comes_and_goes),
			cases[i].matches);
	}
}

static bool nobody_has(void *arg, const char *name)
{
	return false;
}

static bool has_that(void *arg, const char *name)
{
	return strcmp(name, arg) == 0;
}

static void names_of_strangers_are_safe(void **state)
{
	static const struct {
		const char *label, *uuid, *name;
	} cases[] = {
		{"MEDIA", "u", "MEDIA"},
		{"My Disk", "u", "My Disk"},
		{"PADDED     ", "u", "PADDED"},
		{"F\xc3\xbcr", "u", "F\xc3\xbcr"},
		{"..", "u", "_."},
		{".", "u", "_"},
		{".hidden", "u", "_hidden"},
		{"../../etc", "u", "_._.._etc"},
		{"a/b", "u", "a_b"},
		{"a\nb\x1b[31m", "u", "a_b_[31m"},
		{"a\x7f\xff\xc0\xaf", "u", "a____"},
		{"\xe2\x80\xaegnp.exe", "u", "___gnp.exe"},
		{"", "12AB-34CD", "12AB-34CD"},
		{"   ", "../x", "_._x"},
		{"", "", "sda1"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
		char name[STORAGE_NAME_MAX];

		storage_dir_name(cases[i].label, cases[i].uuid, "sda1", nobody_has, NULL, name);

		assert_string_equal(name, cases[i].name);
	}
}

static void a_huge_label_makes_a_short_name(void **state)
{
	char label[4001];
	char name[STORAGE_NAME_MAX];
	memset(label, 'x', sizeof(label) - 1);
	label[sizeof(label) - 1] = '\0';

	storage_dir_name(label, "u", "nvme0n1p128", nobody_has, NULL, name);
	assert_int_equal(strlen(name), STORAGE_NAME_MAX - 17);
	scoped(free) char *first = xstrdup(name);
	storage_dir_name(label, "u", "nvme0n1p128", has_that, first, name);

	assert_true(strlen(name) < STORAGE_NAME_MAX);
	assert_non_null(strstr(name, "-nvme0n1p128"));
}

static void the_second_of_a_name_gets_the_kernels(void **state)
{
	char name[STORAGE_NAME_MAX];

	storage_dir_name("DATA", "u", "sdb1", has_that, (void *)"DATA", name);

	assert_string_equal(name, "DATA-sdb1");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_forms_say_the_same),
		cmocka_unit_test(what_is_written_comes_back_from_json),
		cmocka_unit_test(a_named_disk_is_required_and_any_is_not),
		cmocka_unit_test(nonsense_is_refused),
		cmocka_unit_test(two_at_one_place_are_refused),
		cmocka_unit_test(rules_mean_the_disks_they_say),
		cmocka_unit_test(names_of_strangers_are_safe),
		cmocka_unit_test(a_huge_label_makes_a_short_name),
		cmocka_unit_test(the_second_of_a_name_gets_the_kernels),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
