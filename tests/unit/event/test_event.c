#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "base/buf.h"
#include "base/json.h"
#include "event/event.h"

struct ear {
	struct event_bus *bus;
	struct event_listener *listener;
	struct event_listener *victim; /* unsubscribed at the first event */
	struct buf heard;
};

static void hear(void *owner, const struct event *v)
{
	struct ear *ear = owner;
	buf_printf(&ear->heard, "%s.%s(%s) ", v->type, v->action, v->id);
	event_unlisten(ear->victim);
	ear->victim = NULL;
}

static void echo(void *owner, const struct event *v)
{
	struct ear *ear = owner;
	if (strcmp(v->action, "die") == 0) {
		event_publish(ear->bus, "container", "restart", v->id, NULL);
	}
	hear(owner, v);
}

static void listeners_hear_in_order_of_publication(void **state)
{
	struct event_bus *bus = event_bus_new();
	struct ear a = {.bus = bus};
	event_listen(bus, hear, &a);

	event_publish(bus, "container", "start", "1", NULL);
	event_publish(bus, "network", "connect", "2", NULL);

	assert_string_equal(buf_str(&a.heard), "container.start(1) network.connect(2) ");
	buf_deinit(&a.heard);
	event_bus_free(bus);
}

static void a_listener_may_remove_itself_and_the_next(void **state)
{
	struct event_bus *bus = event_bus_new();
	struct ear a = {.bus = bus};
	struct ear b = {.bus = bus};
	a.listener = event_listen(bus, hear, &a);
	a.victim = event_listen(bus, hear, &b);

	event_publish(bus, "container", "start", "1", NULL);
	a.victim = a.listener;
	event_publish(bus, "container", "stop", "1", NULL);
	event_publish(bus, "container", "start", "1", NULL);

	assert_string_equal(buf_str(&b.heard), "");
	assert_string_equal(buf_str(&a.heard), "container.start(1) container.stop(1) ");
	buf_deinit(&a.heard);
	event_bus_free(bus);
}

static void a_listener_may_publish(void **state)
{
	struct event_bus *bus = event_bus_new();
	struct ear a = {.bus = bus};
	event_listen(bus, echo, &a);

	event_publish(bus, "container", "die", "1", NULL);

	assert_string_equal(buf_str(&a.heard), "container.restart(1) container.die(1) ");
	buf_deinit(&a.heard);
	event_bus_free(bus);
}

static void the_last_events_are_replayed_within_their_time(void **state)
{
	struct event_bus *bus = event_bus_new();
	struct ear a = {.bus = bus};
	for (int i = 0; i < EVENT_HISTORY + 10; i++) {
		event_publish(bus, "container", i < 10 ? "old" : "new", "1", NULL);
	}

	event_replay(bus, 0, INT64_MAX, hear, &a);

	assert_null(strstr(buf_str(&a.heard), "old"));
	assert_int_equal(a.heard.len, EVENT_HISTORY * strlen("container.new(1) "));
	buf_clear(&a.heard);
	event_replay(bus, INT64_MAX, INT64_MAX, hear, &a);
	assert_int_equal(a.heard.len, 0);
	buf_deinit(&a.heard);
	event_bus_free(bus);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(listeners_hear_in_order_of_publication),
		cmocka_unit_test(a_listener_may_remove_itself_and_the_next),
		cmocka_unit_test(a_listener_may_publish),
		cmocka_unit_test(the_last_events_are_replayed_within_their_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
