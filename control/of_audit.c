// SPDX-License-Identifier: Apache-2.0
#include "of_audit.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine.h"
#include "of_net.h"
#include "of_verify.h"
#include "query.h"
#include "reply.h"

#define WAIT_NS 5000000000LL // for switches that are not up to date, and for answers
#define POLL_NS 5000000LL    // meanwhile
#define TRIES 20             // when something changes under it: what does not matter to the checker any more
#define TRIES_ALL 60         // nor is it checked
#define STEP_ENTRIES 100000  // of one turn: a few milliseconds
#define TEXT_BYTES 1200

enum audit_state { AUDIT_IDLE, AUDIT_WAITS, AUDIT_READS, AUDIT_CHECKS, AUDIT_DONE };

struct of_audit {
	struct of_net *net;
	enum audit_state state;
	uint64_t round;
	int64_t since_ns; // of the state
	unsigned int tries;
	uint64_t topo_gen, flow_mods, policy_gen; // what is checked is of these
	int64_t wall_ns;
	struct tree policy;
	const struct of_rules **tables;
	const struct of_groups **groups;
	struct of_verify *verify;
	json_t *result; // of the last round: members of its answer; NULL: it came to no end
	char **texts;   // of its findings
	uint32_t n_texts;
};

struct of_audit *of_audit_create(struct of_net *net)
{
	struct of_audit *a = calloc(1, sizeof(*a));

	if (a == NULL)
		return NULL;
	a->net = net;
	tree_init(&a->policy);
	return a;
}

static void drop_work(struct of_audit *a)
{
	of_verify_destroy(a->verify);
	a->verify = NULL;
	free(a->tables);
	a->tables = NULL;
	free(a->groups);
	a->groups = NULL;
	tree_fini(&a->policy);
	tree_init(&a->policy);
	of_net_read_end(a->net);
}

static void drop_result(struct of_audit *a)
{
	json_decref(a->result);
	a->result = NULL;
	for (uint32_t i = 0; i < a->n_texts; i++)
		free(a->texts[i]);
	free(a->texts);
	a->texts = NULL;
	a->n_texts = 0;
}

void of_audit_destroy(struct of_audit *a)
{
	if (a == NULL)
		return;
	drop_work(a);
	drop_result(a);
	tree_fini(&a->policy);
	free(a);
}

static void enter(struct of_audit *a, enum audit_state state, int64_t uptime_ns)
{
	a->state = state;
	a->since_ns = uptime_ns;
}

// --- the result

static json_t *hop_json(const struct topo *t, const struct of_hop *hop)
{
	const struct topo_port *p = topo_port(t, hop->sw, hop->port);
	json_t *o = json_object();

	json_object_set_new(o, "switch", hop->sw == t->bridge ? json_null() : json_string(query_dpid(t, hop->sw).text));
	json_object_set_new(o, "port", json_string(p == NULL ? "" : p->name));
	json_object_set_new(o, "number", json_integer(hop->port));
	return o;
}

static size_t hop_text(const struct topo *t, const struct of_hop *hop, char *buf, size_t size)
{
	const struct topo_port *p = topo_port(t, hop->sw, hop->port);

	return (size_t)snprintf(buf, size, "%s/%s", query_dpid(t, hop->sw).text, p == NULL ? "?" : p->name);
}

static const char *sentence(enum of_finding_kind kind)
{
	static const char *const sentences[] = {
		[OF_FINDING_LEAK] = "denied, but it leaves the network",
		[OF_FINDING_BLACK_HOLE] = "not denied, but it does not arrive",
		[OF_FINDING_LOOP] = "it comes back to where it was",
		[OF_FINDING_TWICE] = "it arrives a second time on another way",
		[OF_FINDING_MOVED] = "a bridge is made to look for its sender where it is not",
		[OF_FINDING_UNCHECKED] = "what this switch does with it is not known",
	};

	return sentences[kind];
}

static json_t *finding_json(const struct topo *t, const struct of_finding *f, char *text)
{
	json_t *o = json_object(), *path = json_array();
	char packet[300];
	size_t n;

	of_packet_format(&f->packet, packet, sizeof(packet));
	json_object_set_new(o, "finding", json_string(of_finding_name(f->kind)));
	json_object_set_new(o, "why", json_string(sentence(f->kind)));
	json_object_set_new(o, "packet", json_string(packet));
	json_object_set_new(o, "from", hop_json(t, &f->from));
	json_object_set_new(o, "at", hop_json(t, &f->at));
	n = (size_t)snprintf(text, TEXT_BYTES, "%s (%s) from ", of_finding_name(f->kind), packet);
	n += hop_text(t, &f->from, text + n, TEXT_BYTES - n);
	n += (size_t)snprintf(text + n, TEXT_BYTES - n, " at ");
	hop_text(t, &f->at, text + n, TEXT_BYTES - n);
	for (uint32_t i = 0; i < f->n_hops && i < OF_FINDING_HOPS; i++)
		json_array_append_new(path, hop_json(t, &f->hops[i]));
	json_object_set_new(o, "path", path);
	return o;
}

// The parts of the network between which hosts have no way: the switches of each, as far as hosts are at them.
static json_t *unconnected_json(const struct topo *t, const struct of_verify_result *r)
{
	json_t *o = json_object(), *parts = json_array();
	bool *has_host = r->n_unconnected == 0 ? NULL : calloc(t->n_switches + 1U, sizeof(*has_host));

	for (uint32_t i = 0; has_host != NULL && i < t->n_hosts; i++)
		has_host[t->hosts[i].sw] = true;
	for (uint32_t first = 0; has_host != NULL && first < t->n_switches; first++) {
		json_t *part = json_array();

		for (uint32_t sw = first; sw < t->n_switches; sw++) {
			if (r->part[sw] != first || !has_host[sw])
				continue;
			json_array_append_new(part,
					      sw == t->bridge ? json_null() : json_string(query_dpid(t, sw).text));
		}
		if (json_array_size(part) > 0)
			json_array_append(parts, part);
		json_decref(part);
	}
	free(has_host);
	json_object_set_new(o, "pairs", json_integer((json_int_t)r->n_unconnected));
	json_object_set_new(o, "parts", parts);
	return o;
}

static void keep_result(struct of_audit *a)
{
	const struct topo *t = of_net_topo(a->net);
	struct of_verify_result r;
	uint64_t n_all = 0, n_entries = 0;
	uint32_t n_switches = 0;
	char text[TEXT_BYTES];
	json_t *items = json_array();

	of_verify_result(a->verify, &r);
	for (uint32_t i = 0; i < t->n_switches; i++) {
		n_switches += t->switches[i].up && i != t->bridge;
		n_entries += a->tables[i] == NULL ? 0 : a->tables[i]->n;
	}
	a->texts = calloc(r.n_findings + 1U, sizeof(*a->texts));
	for (uint32_t i = 0; i < r.n_findings && a->texts != NULL; i++) {
		json_array_append_new(items, finding_json(t, &r.findings[i], text));
		a->texts[a->n_texts++] = strdup(text);
	}
	for (int i = 0; i < OF_N_FINDINGS; i++)
		n_all += r.n_of[i];
	a->result = json_object();
	json_object_set_new(a->result, "switches", json_integer(n_switches));
	json_object_set_new(a->result, "entries", json_integer((json_int_t)n_entries));
	json_object_set_new(a->result, "pairs", json_integer((json_int_t)r.n_pairs));
	json_object_set_new(a->result, "packets", json_integer((json_int_t)r.n_packets));
	json_object_set_new(a->result, "sampled_pairs", json_integer((json_int_t)r.n_sampled));
	json_object_set_new(a->result, "sampled_others", json_integer((json_int_t)r.n_sampled_others));
	json_object_set_new(a->result, "unconnected", unconnected_json(t, &r));
	json_object_set_new(a->result, "findings", json_integer((json_int_t)n_all));
	json_object_set_new(a->result, "found", items);
}

// --- a round

static bool has_changed(const struct of_audit *a, const struct engine *engine)
{
	struct of_net_stats stats;

	of_net_stats(a->net, &stats);
	return of_net_topo(a->net)->gen != a->topo_gen || stats.flow_mods != a->flow_mods ||
	       engine_policy_gen(engine) != a->policy_gen;
}

static void again(struct of_audit *a, int64_t uptime_ns)
{
	a->tries++;
	drop_work(a);
	enter(a, AUDIT_WAITS, uptime_ns);
}

static void start_reading(struct of_audit *a, const struct engine *engine, int64_t uptime_ns, int64_t now_ns)
{
	struct of_net_stats stats;

	of_net_stats(a->net, &stats);
	a->topo_gen = of_net_topo(a->net)->gen;
	a->flow_mods = stats.flow_mods;
	a->policy_gen = engine_policy_gen(engine);
	a->wall_ns = now_ns;
	if (engine_policy(engine, now_ns, &a->policy) < 0) {
		again(a, uptime_ns);
		return;
	}
	of_net_read(a->net);
	enter(a, AUDIT_READS, uptime_ns);
}

static void start_checking(struct of_audit *a, int64_t uptime_ns)
{
	const struct topo *t = of_net_topo(a->net);
	struct of_verify_in in = {
		.topo = t, .addrs = of_net_addrs(a->net), .policy = &a->policy, .wall_ns = a->wall_ns};

	of_net_read_stop(a->net); // the checker keeps pointers into the answers
	a->tables = calloc(t->n_switches + 1U, sizeof(*a->tables));
	a->groups = calloc(t->n_switches + 1U, sizeof(*a->groups));
	in.tables = a->tables;
	in.groups = a->groups;
	for (uint32_t i = 0; i < t->n_switches && a->tables != NULL && a->groups != NULL; i++) {
		a->tables[i] = of_net_tables(a->net, i);
		a->groups[i] = of_net_groups(a->net, i);
	}
	a->verify = a->tables == NULL || a->groups == NULL ? NULL : of_verify_create(&in);
	if (a->verify == NULL)
		again(a, uptime_ns);
	else
		enter(a, AUDIT_CHECKS, uptime_ns);
}

int64_t of_audit_turn(struct of_audit *a, const struct engine *engine, int64_t uptime_ns, int64_t now_ns)
{
	struct of_net_stats stats;
	bool late = a->since_ns >= 0 && uptime_ns - a->since_ns >= WAIT_NS;

	if (a->since_ns < 0)
		a->since_ns = uptime_ns;
	switch (a->state) {
	case AUDIT_WAITS:
		of_net_stats(a->net, &stats);
		if (stats.n_synced == stats.n_switches || late)
			start_reading(a, engine, uptime_ns, now_ns);
		return now_ns + POLL_NS;
	case AUDIT_READS:
		if (!of_net_is_read(a->net) && !late)
			return now_ns + POLL_NS;
		if (has_changed(a, engine) && a->tries < TRIES)
			again(a, uptime_ns);
		else
			start_checking(a, uptime_ns);
		return now_ns;
	case AUDIT_CHECKS:
		if (of_net_topo(a->net)->gen != a->topo_gen && a->tries >= TRIES_ALL) {
			drop_work(a);
			enter(a, AUDIT_DONE, uptime_ns);
			return INT64_MAX;
		}
		if (of_net_topo(a->net)->gen != a->topo_gen) { // the checker stands on it
			again(a, uptime_ns);
		} else if (of_verify_step(a->verify, STEP_ENTRIES)) {
			drop_result(a);
			keep_result(a);
			drop_work(a);
			enter(a, AUDIT_DONE, uptime_ns);
			return INT64_MAX;
		}
		return now_ns;
	default:
		return INT64_MAX;
	}
}

int of_audit_ask(void *audit, uint64_t round, struct reply *reply)
{
	struct of_audit *a = audit;
	const char *key;
	json_t *value, *item;
	size_t i;

	if (round != 0 && (round != a->round || a->state == AUDIT_IDLE))
		return reply_refuse(reply, REPLY_BAD_VALUE, "round %" PRIu64 " is not kept: the last one is %" PRIu64,
				    round, a->round);
	if (round == 0 && (a->state == AUDIT_IDLE || a->state == AUDIT_DONE)) {
		drop_result(a);
		a->round++;
		a->tries = 0;
		a->state = AUDIT_WAITS;
		a->since_ns = -1; // set by the next turn
	}
	if (a->state == AUDIT_DONE && a->result == NULL)
		return reply_refuse(reply, REPLY_NETWORK,
				    "the network of switches changed %d times before it was checked: ask again, or "
				    "look for a port or a host that comes and goes",
				    TRIES_ALL);
	json_object_set_new(reply->body, "round", json_integer((json_int_t)a->round));
	json_object_set_new(reply->body, "done", json_boolean(a->state == AUDIT_DONE));
	if (a->state != AUDIT_DONE)
		return 0;
	reply->is_list = true;
	json_object_foreach(a->result, key, value)
	{
		if (!json_is_array(value))
			json_object_set(reply->body, key, value);
	}
	json_array_foreach(json_object_get(a->result, "found"), i, item)
	{
		reply_item(reply, json_incref(item), a->texts[i] == NULL ? "" : a->texts[i]);
	}
	return 0;
}
