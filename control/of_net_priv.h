// SPDX-License-Identifier: Apache-2.0
// What of_net.c (sessions), of_sync.c and of_update.c (entries) and of_discover.c (links and hosts) share. Thread:
// control only.
#pragma once
#include "circuit.h"
#include "of_conn.h"
#include "of_groups.h"
#include "of_net.h"
#include "of_pace.h"
#include "of_rules.h"

enum sync_state {
	SYNC_NONE,    // not up
	SYNC_READING, // flow statistics are coming
	SYNC_KNOWN,   // `have` is what it has
};

enum sync_part { // what is read back, each by a request of its own
	SYNC_ENTRIES,
	SYNC_METERS,
	SYNC_GROUPS,
	SYNC_GROUP_FEATURES,
	SYNC_PARTS,
};

#define N_XIDS 16

struct of_switch {
	struct of_net *net;
	void *session;
	struct of_conn *conn;
	uint32_t idx; // in the topology; TOPO_NONE: not up
	enum sync_state sync;
	struct of_rules have;
	struct of_meters have_meters;
	struct of_groups have_groups; // of_plan_is_group
	uint32_t asked[SYNC_PARTS];   // the request's xid while an answer is owed; 0: none is
	int64_t read_ns;              // when it was asked
	int64_t read_by_ns;           // the next part of an answer is due; INT64_MAX: not so
	bool shown_out;               // of_shut.c: its session is about to end
	bool refuses_meters;          // it has none, whatever it says
	int64_t errors_ns;            // since then its errors are counted
	uint32_t n_errors;            // of them those that were noted, and one more if some were not
	uint32_t groups_max;          // of_plan.h
	bool refuses_groups;          // it has none for us, whatever it says
	uint32_t others_groups;       // select groups that are not ours
	int64_t groups_wait_ns;       // it was full: no more of them until then; INT64_MIN: not
	int64_t groups_pause_ns;      // the last such wait
	int64_t groups_by_ns;         // all but those was read: what it owes of them is due; INT64_MAX: not so
	struct of_xids {
		uint32_t last[N_XIDS];
		uint32_t n;           // of all
	} group_xids;                 // of the last entries sent to it that name a group
	struct of_xids meter_xids;    // of the last meters, and entries with one
	bool meters_bad;              // it answered one with an error since all was read
	int64_t retried_ns, retry_ns; // when it was last to be read again after an error, and after how long
	uint8_t n_lost_groups;        // times that it did not know one that an entry named
	uint32_t barrier_xid;         // of the last step (of_update.c); 0: none is awaited
	bool deaf;                    // it did not answer one in time
	struct of_rules seen;         // read by of_net_read
	struct of_groups seen_groups; // likewise
	uint32_t seen_xid;            // its request, while an answer is owed; 0: none is
	uint32_t seen_groups_xid;     // likewise
	bool seen_whole;              // it was answered
	bool planned;                 // its queues are known
	struct of_plan_queue *queues; // that its limits need
	uint32_t n_queues;
	struct of_pace flap_pace;
	bool flaps;           // more of its ports change than that
	bool dirty;           // may differ from what it should have
	int64_t hold_ns;      // left alone until then; INT64_MIN: no more
	int64_t read_back_ns; // when to read again; INT64_MAX: no need
	struct of_switch *next;
};

struct of_net {
	struct of_net_ops ops;
	struct of_net_conf conf;
	struct topo topo;
	struct addrs addrs;
	struct addrs strays;   // of_plan.h: seen to be used, of addresses that denials name
	int64_t addrs_kept_ns; // when those of hosts that are gone were last forgotten
	struct of_switch *switches;
	struct of_policy policy;
	struct circuits circuits;
	uint64_t policy_gen, planned_gen, planned_policy;
	bool recolour; // a switch was read: limits have the tables that they have there
	// of topo.gen since planned_gen: by hosts that were heard of or forgotten, and with ports that flap
	uint64_t host_news, news;
	struct of_pace plan_pace; // of plans that only news ask for
	int64_t plan_pause_ns;
	bool has_planned; // in the last turn
	struct of_pace probe_pace;
	uint64_t round;                                 // of probes
	bool settling;                                  // some port was not settled at the last one
	int64_t now_ns, probe_ns, slow_ns, boundary_ns; // next ones; boundary: wall clock
	int64_t probed_ns;                              // the last round
	int64_t wall_minus_now_ns;
	int64_t first_up_ns;   // INT64_MAX: no switch yet
	int64_t place_ns;      // circuits are placed from then on
	bool placed;           // they were since
	int64_t ahead_ns;      // barriers are awaited until then; INT64_MIN: none
	uint32_t n_steps;      // of an update, since all was last up to date
	int64_t leave_ns;      // when entries may go; INT64_MAX: none
	uint64_t place_gen;    // counts placings
	int64_t place_wall_ns; // of the last one
	int64_t forget_ns;     // when the next switch has been gone for long
	uint64_t member_gen;   // of the topology, when the dataplane's sights were looked at
	int64_t member_ns;     // and when
	bool read_anew;        // some switch was read since: its circuits are hints
	struct of_net_stats stats;
};

void of_net_note(struct of_net *net, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define OF_SYNC_RETRY_NS 3000000000LL       // after an error, or out of memory: reads back again
#define OF_SYNC_RETRY_MAX_NS 300000000000LL // twice as late each time that errors go on

#define OF_METERS_MAX (1U << 16)      // of one switch
#define OF_READ_PART_NS 10000000000LL // a part of an answer comes in that time, and all of it in this:
#define OF_READ_NS 60000000000LL

// The switch is not served any more: why, as what it does. Its session ends.
void of_shut(struct of_switch *sw, const char *why);
bool of_shut_is(const struct of_net *net, uint32_t idx); // its next session has to wait
// More was read back than there is room for. true: this switch was shut.
bool of_shut_too_much(struct of_switch *sw);
bool of_shut_seen_fits(const struct of_switch *sw); // the same of of_net_read, for which nobody is shut
void of_shut_late(struct of_switch *sw);            // it owes a part

// Asks the switch for all that it has.
void of_sync_read_back(struct of_switch *sw);
void of_sync_stats(struct of_switch *sw, const struct of_msg *m); // the answer, or a part of it
void of_sync_no_meters(struct of_switch *sw, const char *why);    // from now on; why: what it does
bool of_sync_refused(struct of_switch *sw, uint32_t xid); // an error answers our request for what it has none of
// An error about a group that was sent, or an entry with one, answers xid. What follows from it, in words, when all is
// read back; NULL: nothing.
const char *of_sync_group_error(struct of_switch *sw, uint32_t xid, const struct of_error *e);
void of_sync_meter_error(struct of_switch *sw, uint32_t xid, const struct of_error *e); // if it is about a meter
void of_sync_retry(struct of_switch *sw);                // an error: what it has is to be read again, after a while
uint32_t of_sync_groups_max(const struct of_switch *sw); // of_plan.h
void of_sync_groups_turn(struct of_switch *sw);          // it may be time for more of them, or to wait no longer
bool of_sync_has_groups(const struct of_switch *sw);     // it says that it can
// A barrier is answered.
void of_update_barrier(struct of_switch *sw, uint32_t xid);
bool of_update_awaits(const struct of_net *net); // the last step is not in place everywhere yet
// Plans all switches that are known, and sends the next step. true: nothing is left to be sent.
struct of_plan_in;
bool of_update(struct of_net *net, const struct of_plan_in *in);
// Plans all switches that are known, and sends what they lack.
void of_sync_plan(struct of_net *net, int64_t wall_ns);
// topo_tree, which keeps to what switches flood along now; malloc'ed. NULL: out of memory.
uint32_t *of_sync_tree(struct of_net *net);

// An answer to of_net_read. false: it is none.
bool of_read_stats(struct of_switch *sw, const struct of_msg *m);
bool of_read_refused(struct of_switch *sw, uint32_t xid); // an error answers it: it has no groups

// Of queues: a switch is gone; it may be time to forget some.
void of_queues_gone(struct of_net *net, uint32_t idx);
void of_queues_turn(struct of_net *net);
// So many rows of the policy cannot be kept there, denials among them, one because of why.
void of_net_lacks(struct of_switch *sw, uint32_t n, uint32_t n_denials, const char *why);
// Places the circuits of the policy.
void of_circuits_place(struct of_net *net, int64_t wall_ns);

void of_ports_status(struct of_switch *sw, const struct of_port_status *status);
void of_ports_take(struct of_switch *sw); // all that it said when its session began

// A packet has come in from a switch that is up: a probe, or something to learn a host from.
void of_discover_packet(struct of_switch *sw, const struct of_packet_in *p);
// Probes the ports whose turn it is; sets when the next ones are due.
void of_discover_probe(struct of_net *net);

// Sends a frame by this port of a switch by which the dataplane knows it, if there is one (of_member.h).
void of_member_ask(struct of_switch *sw, uint32_t port);
// A port of the dataplane came up lately: it may begin to forward at any moment, and close a loop.
bool of_member_is_new(const struct of_net *net);
// Tells the dataplane where hosts are, as far as it was not told so lately. tree NULL: only what it was told before.
void of_member_teach(struct of_net *net, const uint32_t *tree);

static inline void of_xids_note(struct of_xids *x, uint32_t xid)
{
	x->last[x->n++ % N_XIDS] = xid;
}

static inline uint64_t of_net_dpid(const struct of_switch *sw)
{
	return of_conn_features(sw->conn)->dpid;
}
