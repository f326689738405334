/* An interrupt ends the program at once: what the engine was asked for it does, and the next
 * command goes on from there. Who has something to end himself (an attached `up`, builds, watch,
 * programs in a container) blocks the signals and reads them. */
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "wherry/compose.h"

static const char *volatile last_words; /* for the handler, which gets nothing but a number */

static void end(int number)
{
	const char *text = last_words;
	(void)number;
	if (text) {
		(void)!write(STDERR_FILENO, text, strlen(text));
	}
	_exit(COMPOSE_INTERRUPTED);
}

/* What is ignored stays so: a shell's background jobs do not hear the keyboard. */
static void hear(int number)
{
	struct sigaction before;
	struct sigaction ours = {.sa_handler = end};
	sigemptyset(&ours.sa_mask);
	if (sigaction(number, NULL, &before) == 0 && before.sa_handler != SIG_IGN) {
		sigaction(number, &ours, NULL);
	}
}

void compose_on_interrupt(const char *text)
{
	last_words = text;
	hear(SIGINT);
	hear(SIGTERM);
}
