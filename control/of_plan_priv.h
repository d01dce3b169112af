// SPDX-License-Identifier: Apache-2.0
// What of_plan.c and the other files of_plan_*.c share. Thread: control only.
#pragma once
#include "of_plan.h"

#define PLAN_MATCHES_MAX 512 // of one row
#define PLAN_IPS_MAX 16      // addresses of one host that a row of circuits has entries for

// 1.0 has one table, so its priorities interleave: a row of rank r has ROW + STEP r for its flood, one more for each
// known destination, and one more for circuits.
enum priority {
	PRIORITY_FORWARD = 200,
	PRIORITY_LEARN = 200,
	PRIORITY_ARP = 300,
	PRIORITY_LIMIT = 400,
	PRIORITY_STEP = 3,
	PRIORITY_ROW = 1000,
	PRIORITY_ROW_LAST = 60000,
	PRIORITY_WATCH = 61000,
	PRIORITY_RETURN = 62000, // from a middlebox
	PRIORITY_GUARD = 63900,
	PRIORITY_INNER = 64000,
	PRIORITY_BEHIND = 64001, // from the bridge, on a circuit
	PRIORITY_TAGGED = 65050, // on a circuit
	PRIORITY_UNSETTLED = 65100,
	PRIORITY_PROBE = 65200,
};

struct plan {
	const struct of_plan_in *in;
	const struct topo_switch *sw;
	uint32_t idx;
	bool tables;              // a part of the action each
	const struct row *unsaid; // the last one that was counted
	struct plan_link {
		uint32_t port, peer;
	} * links; // verified ones
	uint32_t n_links;
	struct plan_row_queues { // of the limit of one row
		const struct row *row;
		const struct demand *demand; // NULL: it needs none
		bool here, has_known;        // kept here, too; a host of one of its destinations is known
		uint32_t n_switches, n_ports;
		uint64_t share_bps; // of each port; never 0
	} row_queues;
	struct of_rules *out;
	struct of_meters *meters;
	struct of_groups *groups;
	uint32_t *group_to; // by destination switch; 0: none
	struct of_plan_stats *stats;
	int rc;
};

// When an entry of a request that ends then is to end at the switch. halves: of the lease, beyond the next one.
int64_t plan_end(const struct plan *p, uint32_t key, int64_t ends_ns, unsigned int halves);
struct of_rule *plan_blank(struct of_rule *r, unsigned int table, unsigned int priority);
void plan_add(struct plan *p, const struct of_rule *r);
void plan_output(struct plan *p, struct of_rule *r, uint32_t port);
void plan_goto(struct of_rule *r, unsigned int table);
void plan_in_port(struct of_rule *r, uint32_t port);
void plan_unsaid(struct plan *p, const struct err *err);
// Of a row: counted once, while it is the row at hand.
void plan_row_unsaid(struct plan *p, const struct row *row, const struct err *err);

// The actions of an entry of this row for a host, which leave by the port: by the queue of its limit where that is how
// it is kept.
void plan_limited(struct plan *p, struct of_rule *r, const struct row *row, const struct topo_host *host,
		  uint32_t port);
bool plan_has_hosts(const struct plan *p, uint32_t sw); // some port leads to no other switch
// The entries of limits that are kept here.
void plan_limits(struct plan *p);
// With one table: the meter of an entry of this row, under its limits; 0: none.
uint32_t plan_flat_meter(struct plan *p, const struct row *row);
// A row about one source that is known to be at another switch than sw is that switch's. strays: what was seen to come
// from there counts, too.
bool plan_is_elsewhere(const struct plan *p, uint32_t sw, const struct box *box, bool strays);
// A denial is left out, of a source that is elsewhere: what comes from it goes to the controller only.
void plan_watch(struct plan *p, const struct box *box);
// The number of switches that packets of the group may come in at; *here: this is one of them.
uint32_t plan_sources(const struct plan *p, const struct match *flows, bool *here);
// Fills groups and group_to.
void plan_groups(struct plan *p);
// The port towards a host; TOPO_NONE: none.
uint32_t plan_port_to(const struct plan *p, const struct topo_host *h);

// The circuits' entries: where they start, at this switch, and where they pass.
void plan_circuits(struct plan *p);
void plan_tells(struct plan *p); // entries that tell of addresses
// Of a row of the flat table: for each pair of hosts that has a circuit.
void plan_row_circuits(struct plan *p, const struct row *row, unsigned int priority);
