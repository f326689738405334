/* /proc/PID/net/tcp, as a kernel writes it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "sys/sockets.h"

static const char tcp[] =
	"  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"
	"   0: 00000000:0050 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 1 1 0 100 0 0 10 0\n"
	"   1: 0B00007F:8123 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 2 1 0 100 0 0 10 0\n"
	"   2: 020011AC:0050 010011AC:C001 01 00000000:00000000 00:00000000 00000000     0        0 3 1 0 20 4 30 10 -1\n"
	"   3: 020011AC:0050 010011AC:C002 06 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n"
	"   4: 020011AC:0050 010011AC:C003 03 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n"
	"   5: 020011AC:D001 030011AC:1538 01 00000000:00000000 00:00000000 00000000     0        0 4 1 0 20 4 30 10 -1\n"
	"   6: 020011AC:0050 010011AC:C004 05 00000000:00000000 00:00000000 00000000     0        0 0 3 0\n";
static const char tcp6[] =
	"  sl  local_address                         remote_address                        st\n"
	"   0: 00000000000000000000000000000000:1F90 00000000000000000000000000000000:0000 0A 0:0\n"
	"   1: 0000000000000000FFFF0000020011AC:1F90 0000000000000000FFFF0000010011AC:C005 08 0:0\n"
	"   2: 00000000000000000000000000000000:0050 00000000000000000000000000000000:0000 0A 0:0\n";

static void what_listens_and_who_is_still_served(void **state)
{
	struct sockets s = {0};

	sockets_parse_listening(tcp, &s);
	sockets_parse_listening(tcp6, &s);
	sockets_parse_open(tcp, &s);
	sockets_parse_open(tcp6, &s);

	assert_int_equal(s.n_listening, 3); /* each port once */
	assert_int_equal(s.listening[0], 80);
	assert_int_equal(s.listening[1], 0x8123);
	assert_int_equal(s.listening[2], 8080);
	/* not TIME_WAIT, FIN_WAIT2, nor a connection that was made from inside */
	assert_int_equal(s.n_open, 3);
}

static void other_text_is_nothing(void **state)
{
	struct sockets s = {0};
	sockets_parse_listening("nonsense\n\n 1: 5 6 zz\n", &s);
	sockets_parse_open("", &s);
	/* a line that is cut is not completed from the next */
	sockets_parse_listening("   9: 00000000:0051\n7: 0A 0\n", &s);
	assert_int_equal(s.n_listening + s.n_open, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_listens_and_who_is_still_served),
		cmocka_unit_test(other_text_is_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
