// SPDX-License-Identifier: Apache-2.0
#include "metrics.h"

#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dp_link.h"
#include "engine.h"
#include "nib.h"
#include "of_policy.h"
#include "queue_book.h"
#include "realize.h"

// As dataplane/counters.def and figures.def have them, in their order.
enum kind { INFO, DROP, DEVICE };
static const struct {
	const char *name, *help;
	enum kind kind;
} counters[] = {
#define COUNTER(name, unit, help) {#name, help, INFO},
#define COUNTER_DROP_RX(name, unit, help) {#name, help, DROP},
#define COUNTER_DROP_TX(name, unit, help) {#name, help, DROP},
#define COUNTER_DEVICE(name, unit, help) {#name, help, DEVICE},
#include "dataplane/counters.def"
#undef COUNTER
#undef COUNTER_DROP_RX
#undef COUNTER_DROP_TX
#undef COUNTER_DEVICE
};
#define N_COUNTERS (sizeof(counters) / sizeof(counters[0]))

#define TOTAL true
#define GAUGE false
static const struct {
	const char *name, *help;
	bool grows;
} figures[] = {
#define FIGURE(name, kind, help) {#name, help, kind},
#include "dataplane/figures.def"
#undef FIGURE
};
#define N_FIGURES (sizeof(figures) / sizeof(figures[0]))

static void head(FILE *f, const char *name, const char *type, const char *help)
{
	fprintf(f, "# HELP pane_%s %s\n# TYPE pane_%s %s\n", name, help, name, type);
}

static void one(FILE *f, const char *name, const char *type, const char *help, uint64_t value)
{
	head(f, name, type, help);
	fprintf(f, "pane_%s %" PRIu64 "\n", name, value);
}

// A label's value: backslash, quote and newline are escaped.
static void label(FILE *f, const char *key, const char *value)
{
	fprintf(f, "%s=\"", key);
	for (; *value != '\0'; value++) {
		if (*value == '\\' || *value == '"')
			fputc('\\', f);
		if (*value == '\n')
			fputs("\\n", f);
		else
			fputc(*value, f);
	}
	fputc('"', f);
}

static void port_sample(FILE *f, const char *name, const struct nib_port *port, const char *reason, uint64_t value)
{
	fprintf(f, "pane_port_%s{", name);
	label(f, "port", port->name);
	if (reason != NULL)
		fprintf(f, ",reason=\"%s\"", reason);
	fprintf(f, "} %" PRIu64 "\n", value);
}

static void port_counters(FILE *f, const struct nib *nib, size_t c)
{
	char name[64];

	snprintf(name, sizeof(name), "port_%s_total", counters[c].name);
	head(f, name, "counter", counters[c].help);
	for (size_t p = 0; p < nib_n_ports(nib); p++) {
		const struct nib_port *port = nib_port_at(nib, p);

		if (c < port->n_counters)
			port_sample(f, name + strlen("port_"), port, NULL, port->counter[c]);
	}
}

static void drops(FILE *f, const struct nib *nib)
{
	head(f, "port_dropped_total", "counter", "packets dropped, by reason");
	for (size_t p = 0; p < nib_n_ports(nib); p++) {
		const struct nib_port *port = nib_port_at(nib, p);

		for (size_t c = 0; c < N_COUNTERS && c < port->n_counters; c++) {
			if (counters[c].kind == DROP)
				port_sample(f, "dropped_total", port, counters[c].name, port->counter[c]);
		}
	}
}

// As the dataplane told them last.
static void queues(FILE *f, const struct nib *nib)
{
	static const struct {
		const char *name, *type, *help;
	} of[] = {
		{"port_queues", "gauge", "queues in use"},
		{"port_queue_backlog_bytes", "gauge", "bytes that wait in queues"},
		{"port_promised_bps", "gauge", "all reservations, wherever their packets go"},
		{"port_behind_us_total", "counter", "time by which promises are behind"},
		{"port_without_queue_total", "counter",
		 "packets whose combination of requests found all queues of the port taken, and that went as best "
		 "effort"},
	};

	for (size_t i = 0; i < sizeof(of) / sizeof(of[0]); i++) {
		head(f, of[i].name, of[i].type, of[i].help);
		for (size_t p = 0; p < nib_n_ports(nib); p++) {
			const struct nib_port *port = nib_port_at(nib, p);
			struct queue_port q = queue_book_port(nib_queues(nib), port->port);
			uint64_t value[] = {q.told.n_queues, 0, q.told.promised_bps, q.told.held_back_us,
					    q.told.pool_full};

			for (uint32_t k = 0; k < q.n && i == 1; k++)
				value[1] += q.entry[k].told.backlog_bytes;
			port_sample(f, of[i].name + strlen("port_"), port, NULL, value[i]);
		}
	}
}

static void ports(FILE *f, const struct nib *nib)
{
	head(f, "port_up", "gauge", "1: the port is up");
	for (size_t p = 0; p < nib_n_ports(nib); p++)
		port_sample(f, "up", nib_port_at(nib, p), NULL, nib_port_at(nib, p)->up);
	for (size_t c = 0; c < N_COUNTERS; c++) {
		if (counters[c].kind != DROP)
			port_counters(f, nib, c);
	}
	drops(f, nib);
	queues(f, nib);
}

static void dataplane(FILE *f, const struct nib *nib)
{
	uint16_t n;
	const uint64_t *value = nib_figures(nib, &n);

	for (size_t i = 0; i < N_FIGURES && i < n; i++) {
		char name[64];

		snprintf(name, sizeof(name), "dataplane_%s%s", figures[i].name, figures[i].grows ? "_total" : "");
		one(f, name, figures[i].grows ? "counter" : "gauge", figures[i].help, value[i]);
	}
}

static void controller(FILE *f, const struct metrics_source *src)
{
	struct dp_link_stats link;
	struct realize_stats realize;

	dp_link_stats(src->link, &link);
	realize_stats(src->realize, &realize);
	one(f, "requests", "gauge", "requests that are not over", engine_n_requests(src->engine));
	one(f, "rows", "gauge", "rows that the policy comes to in the dataplane", realize.n_rows);
	one(f, "categories", "gauge", "categories that the rows need", realize.n_categories);
	one(f, "waiting", "gauge", "requests and shares that are not in force for want of room", realize.n_waiting);
	one(f, "proofs_total", "counter", "changes of the table that were proven before they were sent",
	    realize.proof.proven);
	one(f, "proofs_undecided_total", "counter",
	    "changes of the table sent unproven: a proof would have taken too long", realize.proof.undecided);
	one(f, "proof_faults_total", "counter", "changes of the table that were not what the policy says, and not sent",
	    realize.proof.faults);
	one(f, "link_up", "gauge", "1: the dataplane is connected, and what it has is known", link.connected);
	one(f, "link_sessions_total", "counter", "sessions with the dataplane", link.sessions);
	one(f, "link_commits_total", "counter", "policy changes sent to the dataplane", link.commits);
	one(f, "link_failed_commits_total", "counter", "policy changes that the dataplane refused",
	    link.failed_commits);
	one(f, "link_rows_added_total", "counter", "rows sent to the dataplane", link.rows_added);
	one(f, "link_rows_deleted_total", "counter", "rows taken back from the dataplane", link.rows_deleted);
	one(f, "link_waits_ms", "gauge", "how long the dataplane has been busy with the policy change under way",
	    (uint64_t)link.waits_ns / 1000000);
	one(f, "link_unanswered", "gauge", "policy changes sent and not yet in force",
	    link.txn_sent - link.txn_in_force);
	one(f, "metrics_turned_away_total", "counter", "connections for metrics that were one too many",
	    src->n_turned_away);
}

static void openflow_net(FILE *f, const struct nib_net *net)
{
	if (net == NULL)
		return;
	one(f, "openflow_hosts_refused_total", "counter",
	    "packets of hosts that were not learnt, as their port has openflow_hosts_max", net->hosts_refused);
	one(f, "openflow_port_flaps_total", "counter",
	    "changes of ports that were not followed at once, as their switch tells of too many", net->flaps);
}

static void openflow(FILE *f, const struct of_policy_proof *proof)
{
	if (proof == NULL)
		return;
	one(f, "openflow_proofs_total", "counter", "tables for OpenFlow switches that were proven", proof->proven);
	one(f, "openflow_proofs_undecided_total", "counter",
	    "tables for OpenFlow switches sent unproven: a proof would have taken too long", proof->undecided);
	one(f, "openflow_proof_faults_total", "counter",
	    "tables for OpenFlow switches that were not what the policy says, and not sent", proof->faults);
}

char *metrics_text(const struct metrics_source *src, size_t *len)
{
	char *text = NULL;
	FILE *f = open_memstream(&text, len);
	bool ok;

	if (f == NULL)
		return NULL;
	controller(f, src);
	openflow(f, src->openflow_proof);
	openflow_net(f, nib_net(src->nib));
	dataplane(f, src->nib);
	ports(f, src->nib);
	ok = !ferror(f);
	if (fclose(f) == 0 && ok)
		return text;
	free(text);
	return NULL;
}
