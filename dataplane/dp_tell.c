// SPDX-License-Identifier: Apache-2.0
// All counters of requests take a second to go through, some of them in each turn, so that no turn takes long.
#include "dp_tell.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "combine.h"
#include "counters.h"
#include "dp_figures.h"
#include "dp_filter.h"
#include "dp_ports.h"
#include "dp_queues.h"
#include "hosts.h"
#include "link.h"
#include "names.h"
#include "sights.h"
#include "workers.h"

#define NS_PER_S INT64_C(1000000000)
#define NS_PER_MS INT64_C(1000000)
#define PORTS_NS NS_PER_S
#define ROUND_NS NS_PER_S // through all counters of requests
#define ROUND_SLOTS 2048  // of them in a turn
#define HOSTS_NS (100 * NS_PER_MS)
#define HOSTS_SIGHTS 4096 // in a turn
#define AGEINGS 2         // of the worker, until a host is forgotten

static_assert(COUNTER_N <= PROTO_COUNTERS_MAX, "the link carries all counters of a port");
static_assert(FIGURE_N <= PROTO_COUNTERS_MAX, "... and all figures");

struct dp_tell {
	struct dp_tell_conf conf;
	struct hosts *hosts;
	uint64_t session;                   // told so far; 0: none
	int64_t ports_ns, hosts_ns, row_ns; // when to do these next
	int64_t round_ns;                   // when this round of requests began
	uint32_t next_slot;
	bool all; // this round tells also what has not changed
	struct proto_msg counts;
};

struct dp_tell *dp_tell_create(const struct dp_tell_conf *conf, struct err *err)
{
	struct dp_tell *t = calloc(1, sizeof(*t));

	if (t == NULL) {
		err_set(err, ENOMEM, "no memory for what is told");
		return NULL;
	}
	t->conf = *conf;
	t->counts.type = PROTO_ROW_COUNTS;
	t->hosts = hosts_create(AGEINGS * NS_PER_S * conf->host_ageing_s, err);
	if (t->hosts == NULL) {
		dp_tell_destroy(t);
		t = NULL;
	}
	return t;
}

void dp_tell_destroy(struct dp_tell *t)
{
	if (t == NULL)
		return;
	hosts_destroy(t->hosts);
	free(t);
}

static void tell_ports(struct dp_tell *t)
{
	struct proto_msg figures = {.type = PROTO_COUNTERS, .counters = {.port = PROTO_NO_PORT, .n = FIGURE_N}};

	dp_figures_note(t->conf.dp);
	dp_figures_get(t->conf.dp, figures.counters.value);
	link_tell(t->conf.link, &figures);
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		struct proto_msg msg = {.type = PROTO_COUNTERS, .counters = {.port = i, .n = COUNTER_N}};

		if (!dp_has_port(t->conf.dp, i))
			continue;
		workers_counters_get(t->conf.workers, i, msg.counters.value);
		dp_dev_counters_get(t->conf.dp, i, msg.counters.value);
		link_tell(t->conf.link, &msg);
	}
}

// --- requests

static void tell_counts(struct dp_tell *t)
{
	if (t->counts.row_counts.n > 0)
		link_tell(t->conf.link, &t->counts);
	t->counts.row_counts.n = 0;
}

static void look_at(struct dp_tell *t, struct names_count *c)
{
	uint64_t packets, bytes;
	bool changed;

	workers_row_count(t->conf.workers, c->slot, &packets, &bytes);
	packets += c->dropped_packets;
	bytes += c->dropped_bytes;
	changed = packets != c->seen_packets || bytes != c->seen_bytes;
	c->seen_packets = packets;
	c->seen_bytes = bytes;
	if (!changed && (!t->all || packets == c->base_packets))
		return;
	t->counts.row_counts.count[t->counts.row_counts.n++] =
		(struct proto_row_count){c->id, packets - c->base_packets, bytes - c->base_bytes};
	if (t->counts.row_counts.n == PROTO_ROW_COUNTS_MAX)
		tell_counts(t);
}

static void count_dropped(void *ctx, uint64_t id, const struct xdp_count *more)
{
	names_counter_dropped(ctx, id, more->packets, more->bytes);
}

static void tell_requests(struct dp_tell *t, int64_t mono_ns)
{
	uint32_t end = names_counters_end(t->conf.names), n = 0;

	if (t->conf.filter != NULL)
		dp_filter_counts(t->conf.filter, count_dropped, t->conf.names);
	for (; t->next_slot < end && n < ROUND_SLOTS; n++, t->next_slot++) {
		struct names_count *count = names_counter_at(t->conf.names, t->next_slot);

		if (count != NULL)
			look_at(t, count);
	}
	tell_counts(t);
	if (t->next_slot < end) {
		t->row_ns = mono_ns + ROUND_NS / (end / ROUND_SLOTS + 1);
		return;
	}
	t->row_ns = t->round_ns + ROUND_NS;
	if (t->row_ns < mono_ns)
		t->row_ns = mono_ns;
	t->round_ns = t->row_ns;
	t->next_slot = 0;
	t->all = false;
}

// --- hosts

static void tell_host(void *ctx, const struct proto_host *host)
{
	struct dp_tell *t = ctx;
	struct proto_msg msg = {.type = PROTO_HOST, .host = *host};

	link_tell(t->conf.link, &msg);
}

static void follow_hosts(struct dp_tell *t, int64_t mono_ns)
{
	struct sight sight;

	for (int i = 0; i < HOSTS_SIGHTS && workers_next_sight(t->conf.workers, &sight); i++) {
		const struct proto_host host = {
			.port = sight.port, .vlan = sight.vlan, .kinds = sight.kinds, .addr = sight.addr};

		hosts_see(t->hosts, sight.mac, &host, mono_ns, tell_host, t);
	}
	hosts_age(t->hosts, mono_ns, tell_host, t);
}

static void greet(struct dp_tell *t, int64_t mono_ns)
{
	t->session = link_session(t->conf.link);
	if (t->session == 0)
		return;
	tell_ports(t);
	hosts_each(t->hosts, mono_ns, tell_host, t);
	t->next_slot = 0;
	t->all = true;
	t->round_ns = mono_ns;
	t->row_ns = mono_ns;
}

void dp_tell_turn(struct dp_tell *t, int64_t mono_ns)
{
	if (link_session(t->conf.link) != t->session)
		greet(t, mono_ns);
	if (mono_ns >= t->ports_ns) {
		tell_ports(t);
		t->ports_ns = mono_ns + PORTS_NS;
	}
	if (mono_ns >= t->row_ns)
		tell_requests(t, mono_ns);
	if (mono_ns >= t->hosts_ns) {
		follow_hosts(t, mono_ns);
		dp_queues_tell(t->conf.dp, t->conf.link);
		t->hosts_ns = mono_ns + HOSTS_NS;
	}
}

int64_t dp_tell_next_ns(const struct dp_tell *t)
{
	int64_t next_ns = t->ports_ns < t->row_ns ? t->ports_ns : t->row_ns;

	return next_ns < t->hosts_ns ? next_ns : t->hosts_ns;
}
