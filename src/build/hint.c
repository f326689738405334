#include "build/hint.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "base/text.h"

#define NEAR 3 /* fewer edits than this; as BuildKit's util/suggest */
#define WORD_MAX 32

struct hint hint_for(const char *word)
{
	return (struct hint){word, NULL, NEAR};
}

static void lower(const char *word, char ret[static WORD_MAX])
{
	size_t n = 0;
	for (; word[n] && n < WORD_MAX - 1; n++) {
		ret[n] = (char)tolower((unsigned char)word[n]);
	}
	ret[n] = '\0';
}

void hint_offer(struct hint *h, const char *option)
{
	char a[WORD_MAX], b[WORD_MAX];
	lower(h->word, a);
	lower(option, b);
	unsigned distance = text_distance(a, b);
	if (distance < h->distance && distance < strlen(a)) {
		h->distance = distance;
		h->nearest = distance ? option : NULL;
	}
}

const char *hint_text(const struct hint *h, char room[static HINT_TEXT_MAX])
{
	room[0] = '\0';
	if (h->nearest) {
		snprintf(room, HINT_TEXT_MAX, " (did you mean %.60s?)", h->nearest);
	}
	return room;
}
