// SPDX-License-Identifier: Apache-2.0
#include "state.h"

#include <errno.h>
#include <string.h>

#include "metered.h"

int state_init(struct state *s, int64_t now_ns)
{
	const struct state kept = *s;

	*s = (struct state){.nib = kept.nib,
			    .offline = kept.offline,
			    .drop_fragments = kept.drop_fragments,
			    .now_ns = now_ns,
			    .events = kept.events,
			    .user_dropped = kept.user_dropped,
			    .ask_network = kept.ask_network,
			    .ask_dataplane = kept.ask_dataplane,
			    .limits_metered = kept.limits_metered,
			    .max_open = kept.max_open};
	memcpy(s->network_why, kept.network_why, sizeof(s->network_why));
	request_book_init(&s->requests);
	TAILQ_INIT(&s->hints);
	traffic_init(&s->traffic);
	TAILQ_INIT(&s->naming_users);
	if (s->limits_metered && metered_begin(s) < 0)
		return -ENOMEM;
	return users_init(&s->users) < 0 || share_tree_init(&s->shares, now_ns) < 0 ? -ENOMEM : 0;
}

void state_fini(struct state *s)
{
	delta_fini(&s->delta);
	metered_end(s);
	traffic_fini(&s->traffic);
	promises_fini(&s->promises);
	start_queue_fini(&s->starts);
	request_book_fini(&s->requests);
	share_tree_fini(&s->shares);
	users_fini(&s->users);
}
