// SPDX-License-Identifier: Apache-2.0
#include "of_pace.h"

int64_t of_pace_free_ns(const struct of_pace *p, unsigned int burst, int64_t pause_ns)
{
	return p->due_ns - (int64_t)burst * pause_ns;
}

void of_pace_take(struct of_pace *p, int64_t now_ns, int64_t pause_ns)
{
	p->due_ns = (p->due_ns > now_ns ? p->due_ns : now_ns) + pause_ns;
}
