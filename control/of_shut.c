// SPDX-License-Identifier: Apache-2.0
// Switches that cannot be served: their sessions end, and what comes back is refused for a while, longer each time. So
// one that says no end of entries, or withholds what it was asked for, costs a handshake now and then.
#include <inttypes.h>
#include <stdio.h>

#include "of_net_priv.h"

#define FIRST_NS 1000000000LL // twice as long each further time
#define LONGEST 6             // doublings
#define FORGIVEN_NS (600 * FIRST_NS)

void of_shut(struct of_switch *sw, const char *why)
{
	struct of_net *net = sw->net;
	struct topo_switch *t = &net->topo.switches[sw->idx];
	int64_t pause_ns;

	if (sw->shown_out)
		return;
	if (net->now_ns - t->shut_ns >= FORGIVEN_NS)
		t->n_shuts = 0;
	pause_ns = FIRST_NS << t->n_shuts;
	t->n_shuts += t->n_shuts < LONGEST;
	t->shut_ns = net->now_ns + pause_ns;
	of_net_note(net, "switch %016" PRIx64 " %s: its session ends, and for %" PRId64 " s it gets no other",
		    of_net_dpid(sw), why, pause_ns / 1000000000);
	sw->shown_out = true;
	sw->sync = SYNC_NONE;
	sw->read_back_ns = sw->read_by_ns = sw->groups_by_ns = INT64_MAX;
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	of_groups_fini(&sw->have_groups);
	net->ops.close(sw->session);
}

bool of_shut_is(const struct of_net *net, uint32_t idx)
{
	return net->now_ns < net->topo.switches[idx].shut_ns;
}

// What is neither compared with what it should be, so that what is too much goes, nor of that.
static uint32_t unsettled(const struct of_switch *sw)
{
	return sw->sync == SYNC_READING || sw->hold_ns != INT64_MIN ? sw->have.n : 0;
}

static uint64_t all_read(const struct of_net *net)
{
	uint64_t n = 0;

	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next)
		n += unsettled(sw) + sw->seen.n;
	return n;
}

bool of_shut_seen_fits(const struct of_switch *sw)
{
	uint32_t most = sw->net->conf.entries_max;

	return sw->seen.n <= most && all_read(sw->net) <= 4 * (uint64_t)most;
}

bool of_shut_too_much(struct of_switch *sw)
{
	uint32_t entries_max = sw->net->conf.entries_max;
	struct of_switch *most = sw;
	char why[80];

	if (sw->have.n > entries_max || sw->have_meters.n > OF_METERS_MAX) {
		snprintf(why, sizeof(why), "says that it has more than %u %s",
			 sw->have.n > entries_max ? entries_max : OF_METERS_MAX,
			 sw->have.n > entries_max ? "entries of ours" : "meters");
		of_shut(sw, why);
	} else if (all_read(sw->net) > 4 * (uint64_t)entries_max) {
		for (struct of_switch *at = sw->net->switches; at != NULL; at = at->next)
			most = unsettled(at) > unsettled(most) ? at : most;
		of_shut(most, "has the most of more entries than all that are read may have together");
	}
	return sw->shown_out;
}

void of_shut_late(struct of_switch *sw)
{
	bool endless = sw->net->now_ns - sw->read_ns >= OF_READ_NS;

	if (sw->asked[SYNC_ENTRIES] != 0)
		of_shut(sw, endless ? "comes to no end of its entries" : "does not say which entries it has");
	else if (sw->asked[SYNC_METERS] != 0)
		of_sync_no_meters(sw, "does not say which meters it has");
	else // of groups: of_sync_groups_turn
		sw->read_by_ns = INT64_MAX;
}
