// SPDX-License-Identifier: Apache-2.0
#include "statement.h"

#include <string.h>

void statement_init(struct statement *s)
{
	memset(s, 0, sizeof(*s));
	s->rate_bps = RATE_UNLIMITED;
	match_init(&s->flows);
	match_init(&s->binding);
}

void statement_fini(struct statement *s)
{
	match_fini(&s->flows);
	match_fini(&s->binding);
	ip_list_unref(s->addresses);
	ip_list_unref(s->privileges.waypoint);
	ip_list_unref(s->privileges.avoid);
}
