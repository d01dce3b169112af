// SPDX-License-Identifier: Apache-2.0
// Life of a session: up -> entries are read back (of_sync.c) -> what it should have is compared with what it has, and
// only differences are sent. An error about an entry makes the switch be read back again, after a while.
#include "of_net.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "of_net_priv.h"
#include "of_plan.h"

#define PLAN_BURST 32 // for news alone, and then a tenth of the time, but one in
#define PLAN_PAUSE_MIN_NS 20000000LL
#define PLAN_PAUSE_MAX_NS 250000000LL
#define PLAN_SHARE 10
#define ERRORS_MAX 20            // of one switch are noted
#define ERRORS_NS 10000000000LL  // in that time
#define HOLD_NS 1500000000LL     // a switch with entries, after it came up: ports settle meanwhile
#define HOLD_ALL_NS 3000000000LL // and after the first one came up: others may still be on their way

void of_net_note(struct of_net *net, const char *fmt, ...)
{
	char text[256];
	va_list args;

	if (net->ops.note == NULL)
		return;
	va_start(args, fmt);
	vsnprintf(text, sizeof(text), fmt, args);
	va_end(args);
	net->ops.note(net->ops.ctx, text);
}

struct of_net *of_net_create(const struct of_net_ops *ops, const struct of_net_conf *conf)
{
	struct of_net *net = calloc(1, sizeof(*net));

	if (net == NULL)
		return NULL;
	net->ops = *ops;
	net->conf = *conf;
	if (conf->entries_max == 0)
		net->conf.entries_max = OF_NET_ENTRIES_MAX;
	net->probe_ns = net->boundary_ns = net->first_up_ns = net->place_ns = net->leave_ns = net->forget_ns =
		INT64_MAX;
	net->ahead_ns = INT64_MIN;
	net->plan_pause_ns = PLAN_PAUSE_MIN_NS;
	topo_init(&net->topo, conf->hosts_max);
	net->topo.port_hosts_max = conf->port_hosts_max;
	if (conf->salt != 0)
		net->topo.salt = conf->salt | 1;
	addrs_init(&net->addrs, conf->hosts_max);
	addrs_init(&net->strays, conf->hosts_max);
	of_policy_init(&net->policy);
	circuits_init(&net->circuits);
	return net;
}

void of_net_destroy(struct of_net *net)
{
	if (net == NULL)
		return;
	assert(net->switches == NULL);
	topo_fini(&net->topo);
	addrs_fini(&net->addrs);
	addrs_fini(&net->strays);
	of_policy_fini(&net->policy);
	circuits_fini(&net->circuits);
	free(net);
}

static struct of_switch *switch_at(struct of_net *net, uint32_t idx)
{
	struct of_switch *sw = net->switches;

	while (sw != NULL && sw->idx != idx)
		sw = sw->next;
	return sw;
}

// --- up, errors

static void on_up(void *ctx, struct of_conn *conn)
{
	struct of_switch *sw = ctx;
	struct of_net *net = sw->net;
	uint32_t idx = topo_switch(&net->topo, of_conn_features(conn)->dpid);

	sw->conn = conn;
	if (idx == TOPO_NONE) {
		of_net_note(net, "no room for switch %016" PRIx64 " beside %u others: refused", of_net_dpid(sw),
			    net->topo.n_switches);
		net->ops.close(sw->session);
		return;
	}
	if (switch_at(net, idx) != NULL) {
		of_net_note(net, "a second switch says that it is %016" PRIx64 ": refused", of_net_dpid(sw));
		net->ops.close(sw->session);
		return;
	}
	if (of_shut_is(net, idx)) {
		of_net_note(net, "switch %016" PRIx64 " is back too soon: refused", of_net_dpid(sw));
		net->ops.close(sw->session);
		return;
	}
	sw->idx = idx;
	if (net->first_up_ns == INT64_MAX) {
		net->first_up_ns = net->now_ns;
		net->place_ns = net->now_ns + HOLD_ALL_NS;
		net->forget_ns = net->now_ns + OF_NET_GONE_NS;
	}
	net->topo.switches[idx].version = of_conn_version(conn);
	sw->hold_ns = net->now_ns + HOLD_NS;
	if (sw->hold_ns < net->first_up_ns + HOLD_ALL_NS)
		sw->hold_ns = net->first_up_ns + HOLD_ALL_NS;
	topo_switch_up(&net->topo, idx, true);
	of_ports_take(sw);
	of_sync_read_back(sw);
	of_net_note(net, "switch %016" PRIx64 " is up, OpenFlow 1.%u, %u ports", of_net_dpid(sw),
		    of_conn_version(conn) - 1U, net->topo.switches[idx].n_ports);
}

// A switch may answer each entry with an error, or make some up: what is read of it is little.
static bool is_noted(struct of_switch *sw)
{
	if (sw->net->now_ns - sw->errors_ns >= ERRORS_NS)
		sw->n_errors = 0;
	if (sw->n_errors == 0)
		sw->errors_ns = sw->net->now_ns;
	if (sw->n_errors == ERRORS_MAX)
		of_net_note(sw->net, "switch %016" PRIx64 " answers with more errors, which are not told for %lld s",
			    of_net_dpid(sw), ERRORS_NS / 1000000000);
	sw->n_errors += sw->n_errors <= ERRORS_MAX;
	return sw->n_errors <= ERRORS_MAX;
}

static void on_error(struct of_switch *sw, uint32_t xid, const struct of_error *e)
{
	const char *follows = of_sync_group_error(sw, xid, e);

	sw->net->stats.errors++;
	if (follows != NULL || is_noted(sw))
		of_net_note(sw->net, "switch %016" PRIx64 " answers with error %u, code %u%s", of_net_dpid(sw), e->type,
			    e->code, follows == NULL ? "" : follows);
	of_sync_meter_error(sw, xid, e);
	if (follows != NULL) // what would have used them does not wait
		sw->read_back_ns = sw->net->now_ns;
	else if (sw->read_back_ns == INT64_MAX)
		of_sync_retry(sw);
}

// --- messages

static void on_message(void *ctx, struct of_conn *conn, const struct of_msg *m)
{
	struct of_switch *sw = ctx;

	if (sw->idx == TOPO_NONE || sw->shown_out) // refused, about to be closed
		return;
	switch (m->type) {
	case OF_PACKET_IN:
		of_discover_packet(sw, &m->packet_in);
		break;
	case OF_BARRIER_REPLY:
		sw->net->stats.barriers_answered++;
		of_update_barrier(sw, m->xid);
		break;
	case OF_PORT_STATUS:
		of_ports_status(sw, &m->port_status);
		break;
	case OF_MULTIPART_REPLY:
		if (!of_read_stats(sw, m))
			of_sync_stats(sw, m);
		break;
	case OF_ERROR:
		if (!of_sync_refused(sw, m->xid) && !of_read_refused(sw, m->xid))
			on_error(sw, m->xid, &m->error);
		break;
	default:
		break;
	}
	(void)conn;
}

// --- sessions

static void send_bytes(void *ctx, const uint8_t *bytes, size_t len)
{
	const struct of_switch *sw = ctx;

	sw->net->ops.send(sw->session, bytes, len);
}

struct of_switch *of_net_attach(struct of_net *net, void *session, int64_t now_ns)
{
	static const struct of_conn_ops conn_ops = {.send = send_bytes, .up = on_up, .message = on_message};
	struct of_switch *sw = calloc(1, sizeof(*sw));

	if (sw == NULL)
		return NULL;
	sw->net = net;
	sw->session = session;
	sw->idx = TOPO_NONE;
	sw->read_back_ns = sw->read_by_ns = sw->groups_by_ns = INT64_MAX;
	sw->groups_wait_ns = INT64_MIN;
	sw->conn = of_conn_create(&conn_ops, sw, now_ns);
	if (sw->conn == NULL) {
		free(sw);
		return NULL;
	}
	sw->next = net->switches;
	net->switches = sw;
	return sw;
}

void of_net_detach(struct of_net *net, struct of_switch *sw, int64_t now_ns)
{
	struct of_switch **at = &net->switches;

	net->now_ns = now_ns;
	while (*at != sw)
		at = &(*at)->next;
	*at = sw->next;
	if (sw->idx != TOPO_NONE) {
		topo_switch_up(&net->topo, sw->idx, false);
		of_queues_gone(net, sw->idx);
		of_net_note(net, "switch %016" PRIx64 " is gone", of_net_dpid(sw));
	}
	of_conn_destroy(sw->conn);
	of_rules_fini(&sw->have);
	of_meters_fini(&sw->have_meters);
	of_groups_fini(&sw->have_groups);
	of_rules_fini(&sw->seen);
	of_groups_fini(&sw->seen_groups);
	free(sw->queues);
	free(sw);
}

int of_net_input(struct of_net *net, struct of_switch *sw, const uint8_t *bytes, size_t len, int64_t now_ns,
		 struct err *err)
{
	net->now_ns = now_ns;
	return of_conn_input(sw->conn, bytes, len, now_ns, err);
}

// --- what they had before

// Of several addresses a host keeps the one it had (of_discover.c), unless another host or a DHCP server spoke since.
static bool keeps_address(const struct of_net *net, const struct topo_host *h, uint32_t ip4)
{
	const struct addr *heard = h->ip4 == 0 ? NULL : addrs_find(&net->addrs, match_ip4(h->ip4), false, h->mac);
	const struct addr *at = addrs_first(&net->addrs, match_ip4(ip4), false);

	while (at != NULL && memcmp(at->mac, h->mac, 6) == 0)
		at = addrs_after(&net->addrs, at);
	return h->ip4 == 0 || (at == NULL && (heard == NULL || heard->how != ADDR_DHCP));
}

// A host is where the switch sends frames to its address by a port without a switch behind it. It may have been heard
// of since without its IPv4 address, in an IPv6 packet, or with another one.
static void take_host(struct of_net *net, const struct of_switch *sw, const struct of_rule *r)
{
	const struct of_instructions *i = &r->instructions;
	const struct topo_port *port = i->n_actions == 1 ? topo_port(&net->topo, sw->idx, i->actions[0].port) : NULL;
	uint32_t ip4 = (uint32_t)r->cookie;
	struct topo_host *h;

	if (r->match.has != OF_HAS_ETH_DST || port == NULL || !topo_is_edge(port, net->now_ns))
		return;
	h = topo_host(&net->topo, r->match.eth_dst);
	// the dataplane cannot know yet that this switch is between
	if ((h == NULL || h->sw == net->topo.bridge) &&
	    topo_host_seen(&net->topo, r->match.eth_dst, sw->idx, port->no, net->now_ns, NULL) > 0) {
		h = topo_host(&net->topo, r->match.eth_dst);
		h->since_ns -= TOPO_AGAIN_NS; // it may have been heard of often before
	}
	if (h == NULL || h->sw != sw->idx || h->port != port->no || ip4 == 0 || !keeps_address(net, h, ip4))
		return;
	net->topo.gen += h->ip4 != ip4;
	h->ip4 = ip4;
	addrs_set(&net->addrs, match_ip4(ip4), false, h->mac, ADDR_ARP, net->now_ns);
}

static void take_address(struct of_net *net, const struct of_match *m, const struct of_source *what, bool stray)
{
	enum addr_how how = what->ip6 ? ADDR_ND : ADDR_ARP;

	if (stray)
		addrs_set(&net->strays, what->ip, what->ip6, m->eth_src, ADDR_IP, net->now_ns);
	else
		addrs_set(&net->addrs, what->ip, what->ip6, m->eth_src, how, net->now_ns);
}

// There was a link, and there is none now.
static void close_lost(struct of_net *net, const struct of_switch *sw, uint32_t no)
{
	const struct topo_port *port = topo_port(&net->topo, sw->idx, no);

	if (port != NULL && port->peer == TOPO_NONE)
		topo_port_close(&net->topo, sw->idx, no);
}

static void end_holds(struct of_net *net)
{
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->sync != SYNC_KNOWN || sw->hold_ns == INT64_MIN || net->now_ns < sw->hold_ns)
			continue;
		sw->hold_ns = INT64_MIN;
		for (uint32_t i = 0; i < sw->have.n; i++) {
			struct of_source what;
			bool stray;

			if (of_plan_lets_in(&sw->have.rules[i]))
				close_lost(net, sw, sw->have.rules[i].match.in_port);
			if (of_plan_tells(&sw->have.rules[i], &what, &stray))
				take_address(net, &sw->have.rules[i].match, &what, stray);
			else
				take_host(net, sw, &sw->have.rules[i]);
		}
	}
}

static bool some_dirty(const struct of_net *net)
{
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		if (sw->sync == SYNC_KNOWN && sw->dirty && sw->hold_ns == INT64_MIN)
			return true;
	}
	return false;
}

static void age_hosts(struct of_net *net)
{
	uint64_t gen = net->topo.gen;

	topo_hosts_age(&net->topo, net->now_ns);
	net->host_news += net->topo.gen - gen;
	net->news += net->topo.gen - gen;
}

// A plan is asked for by more than news.
static bool is_urgent(const struct of_net *net, int64_t wall_ns)
{
	return (!net->placed && net->now_ns >= net->place_ns) || net->now_ns >= net->leave_ns ||
	       net->topo.gen - net->planned_gen != net->news || net->policy_gen != net->planned_policy ||
	       some_dirty(net) || wall_ns >= net->boundary_ns;
}

static void plan(struct of_net *net, int64_t wall_ns)
{
	if (!is_urgent(net, wall_ns)) {
		if (net->news == 0 || net->now_ns < of_pace_free_ns(&net->plan_pace, PLAN_BURST, net->plan_pause_ns))
			return;
		of_pace_take(&net->plan_pace, net->now_ns, net->plan_pause_ns);
	}
	net->has_planned = true;
	of_sync_plan(net, wall_ns);
}

void of_net_took(struct of_net *net, int64_t took_ns)
{
	int64_t pause_ns = took_ns * (PLAN_SHARE - 1);

	if (!net->has_planned)
		return;
	pause_ns = pause_ns > PLAN_PAUSE_MAX_NS ? PLAN_PAUSE_MAX_NS : pause_ns;
	net->plan_pause_ns = pause_ns > PLAN_PAUSE_MIN_NS ? pause_ns : PLAN_PAUSE_MIN_NS;
}

void of_net_turn(struct of_net *net, int64_t now_ns, int64_t wall_ns)
{
	net->now_ns = now_ns;
	net->wall_minus_now_ns = wall_ns - now_ns;
	net->has_planned = false;
	for (struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		struct err err;

		if (of_conn_turn(sw->conn, now_ns, &err) < 0) {
			of_net_note(net, "%s", err.msg);
			net->ops.close(sw->session);
		} else if (now_ns >= sw->read_back_ns) {
			of_sync_read_back(sw);
		} else if (now_ns >= sw->read_by_ns) {
			of_shut_late(sw);
		} else {
			of_sync_groups_turn(sw);
		}
	}
	if (now_ns >= net->probe_ns)
		of_discover_probe(net);
	if (topo_age(&net->topo, now_ns))
		of_net_note(net, "a link has not been heard of for %lld s: taken out", TOPO_LINK_AGE_NS / 1000000000);
	age_hosts(net);
	end_holds(net);
	of_queues_turn(net);
	if (!of_update_awaits(net))
		plan(net, wall_ns);
}

int64_t of_net_next_ns(const struct of_net *net)
{
	int64_t at = net->switches == NULL ? INT64_MAX : net->probe_ns;

	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		int64_t keep_alive = of_conn_next_ns(sw->conn);

		at = keep_alive < at ? keep_alive : at;
		at = sw->read_back_ns < at ? sw->read_back_ns : at;
		at = sw->read_by_ns < at ? sw->read_by_ns : at;
		at = sw->groups_by_ns < at ? sw->groups_by_ns : at;
		at = sw->groups_wait_ns != INT64_MIN && sw->groups_wait_ns < at ? sw->groups_wait_ns : at;
		at = sw->hold_ns != INT64_MIN && sw->sync == SYNC_KNOWN && sw->hold_ns < at ? sw->hold_ns : at;
	}
	if (!net->placed && net->place_ns < at)
		at = net->place_ns;
	at = net->forget_ns < at ? net->forget_ns : at;
	if (of_update_awaits(net))
		return net->ahead_ns < at ? net->ahead_ns : at;
	at = net->leave_ns < at ? net->leave_ns : at;
	if (net->news > 0) {
		int64_t free_ns = of_pace_free_ns(&net->plan_pace, PLAN_BURST, net->plan_pause_ns);

		at = free_ns < at ? free_ns : at;
	}
	if (net->boundary_ns != INT64_MAX && net->boundary_ns - net->wall_minus_now_ns < at)
		at = net->boundary_ns - net->wall_minus_now_ns;
	return at;
}

void of_net_lacks(struct of_switch *sw, uint32_t n, uint32_t n_denials, const char *why)
{
	struct topo_switch *t = &sw->net->topo.switches[sw->idx];

	if (t->n_lacks == n && t->n_open == n_denials && strcmp(t->lacks, why) == 0)
		return;
	if (n > 0)
		of_net_note(sw->net,
			    "switch %016" PRIx64
			    ": %u rows of the policy cannot be kept there, %u of them denials, as one: %s",
			    of_net_dpid(sw), n, n_denials, why);
	else
		of_net_note(sw->net, "switch %016" PRIx64 ": all of the policy can be kept there again",
			    of_net_dpid(sw));
	t->n_lacks = n;
	t->n_open = n_denials;
	snprintf(t->lacks, sizeof(t->lacks), "%s", why);
}

void of_net_ignores_queues(struct of_net *net, uint64_t dpid, bool ignores)
{
	uint32_t idx = topo_find_switch(&net->topo, dpid);

	if (idx == TOPO_NONE || net->topo.switches[idx].no_queues == ignores)
		return;
	net->topo.switches[idx].no_queues = ignores;
	of_net_note(net, "switch %016" PRIx64 ": its datapath %s", dpid,
		    ignores ? "ignores queues: reservations have their way, but no rate of their own there"
			    : "has queues");
}

static bool is_named(void *ctx, const struct addr *stray)
{
	const struct of_source source = {stray->ip, stray->ip6};

	return of_policy_names(ctx, &source);
}

void of_net_policy(struct of_net *net, struct of_policy *policy)
{
	of_policy_fini(&net->policy);
	of_policy_move(&net->policy, policy);
	addrs_keep(&net->strays, is_named, &net->policy);
	net->policy_gen++;
}

const struct topo *of_net_topo(const struct of_net *net)
{
	return &net->topo;
}

const struct addrs *of_net_addrs(const struct of_net *net)
{
	return &net->addrs;
}

const struct of_net_stats *of_net_counts(const struct of_net *net)
{
	return &net->stats;
}

void of_net_stats(const struct of_net *net, struct of_net_stats *out)
{
	*out = net->stats;
	out->n_hosts = net->topo.n_hosts;
	out->n_links = out->n_switches = out->n_synced = out->rows_unsayable = 0;
	for (const struct of_switch *sw = net->switches; sw != NULL; sw = sw->next) {
		const struct topo_switch *t = sw->idx == TOPO_NONE ? NULL : &net->topo.switches[sw->idx];
		uint32_t peer, peer_port;

		out->n_switches += t != NULL;
		out->rows_unsayable += t == NULL ? 0 : t->n_lacks;
		out->n_synced += sw->sync == SYNC_KNOWN && !sw->dirty;
		for (uint32_t i = 0; t != NULL && i < t->n_ports; i++)
			out->n_links += topo_link(&net->topo, sw->idx, t->ports[i].no, &peer, &peer_port);
	}
}
