// SPDX-License-Identifier: Apache-2.0
#include "policy_wait.h"

#include <stddef.h>

#define NS_PER_MS INT64_C(1000000)

void policy_wait_start(struct policy_wait *w, uint32_t alone_most_ms, int64_t now_ns)
{
	w->alone_most_ns = alone_most_ms * NS_PER_MS;
	w->start_ns = w->seen_ns = now_ns;
	w->late = false;
}

enum policy_wait_verdict policy_wait_turn(struct policy_wait *w, bool connected, int64_t now_ns)
{
	if (w->alone_most_ns == 0 || now_ns >= w->start_ns + POLICY_WAIT_MOST_MS * NS_PER_MS)
		return POLICY_WAIT_OVER;
	if (connected || (now_ns >= w->seen_ns + w->alone_most_ns && w->is_there != NULL && w->is_there(w->ctx)))
		w->seen_ns = now_ns;
	if (now_ns >= w->seen_ns + w->alone_most_ns)
		return POLICY_WAIT_OVER;
	if (w->late || now_ns < w->start_ns + w->alone_most_ns)
		return POLICY_WAIT_ON;
	w->late = true;
	return POLICY_WAIT_LATE;
}

int64_t policy_wait_next_ns(const struct policy_wait *w)
{
	int64_t alone_ns = w->seen_ns + w->alone_most_ns, end_ns = w->start_ns + POLICY_WAIT_MOST_MS * NS_PER_MS;

	return alone_ns < end_ns ? alone_ns : end_ns;
}
