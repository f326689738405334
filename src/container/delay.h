/* container/delay.h - one call later, from the loop. */
#pragma once
#include <stdint.h>

typedef struct uv_loop_s uv_loop_t;
struct delay;
typedef void delay_fn(void *owner);

/* Calls fn once after ms (0: at the loop's next turn) and frees itself before the call. Keeps no
 * loop alive. */
struct delay *delay_start(uv_loop_t *l, int64_t ms, delay_fn *fn, void *owner);
void delay_cancel(struct delay *d); /* NULL is fine */
