// SPDX-License-Identifier: Apache-2.0
// Random policy trees and random frames: what the worker does to a real mbuf is what the evaluator of the tree says.
//   eval(tree, packet) = row of the compiled table = row that the classifier finds (every SIMD width)
//   = forwarded or dropped by the worker, and sent in the class of exactly those reservations and limits
#include "tests/unit/dataplane/net_fixture.h"

#include "dataplane/pkt.h"
#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/eval.h"
#include "tests/unit/dataplane/random_net.h"

#define NODES_MAX 5
#define ATOMS_MAX 9
#define ROWS_MAX 1500
#define FRAMES_PER_TREE 150
#define NOW_NS 1000

static struct net net;
static uint64_t failing_seed;            // PANE_SEED=this PANE_ROUNDS=1 repeats the round
static uint64_t next_cls_gen = 1u << 20; // apart from the snapshots'

struct policy {
	struct tree tree;
	struct flowtab ft; // the rows in force at NOW_NS
	struct net_meter meters[ATOMS_MAX];
	uint32_t n_meters;
	uint64_t *sent; // by row: packets of limited rows; their class must have sent as many more
};

static struct action eval_frame(const struct policy *p, const struct pkt *pkt)
{
	struct match_packet m;

	pkt_to_match_packet(pkt, NOW_NS, &m);
	return eval_packet(&p->tree, &m);
}

static void add_atom(struct policy *p, struct rnd *r, uint64_t id)
{
	struct atom atom = {.id = id, .node = rnd_below(r, p->tree.n_nodes), .part = (enum atom_part)rnd_below(r, 3)};

	if (atom.part == ATOM_ACCESS) {
		atom.access = rnd_below(r, 2) ? ACCESS_DENY : ACCESS_ALLOW;
	} else {
		atom.access = rnd_below(r, 2) ? ACCESS_ALLOW : ACCESS_NONE;
		atom.rate_bps = 1000000 * (1 + rnd_below(r, 100));
		p->meters[p->n_meters++] =
			(struct net_meter){.id = id, .rate_bps = atom.rate_bps, .is_limit = atom.part == ATOM_LIMIT};
	}
	match_init(&atom.match);
	for (uint32_t n = 1 + rnd_below(r, 2); n > 0; n--) {
		struct box box = rnd_box(r, true);

		if (rnd_below(r, 3) == 0) // some are over, some not yet begun
			box_set_time(&box, rnd_below(r, 3) * (NOW_NS / 2), NOW_NS + rnd_below(r, 2) * 50);
		assert_int_equal(match_add(&atom.match, &box), 0);
	}
	assert_int_equal(tree_add_atom(&p->tree, &atom), 0);
}

// Keeps the rows in force now, and only the meters they name.
static void keep_current(struct policy *p)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < p->ft.n_rows; i++) {
		const struct span *time = &p->ft.rows[i].box.f[MATCH_TIME];

		if (time->lo <= NOW_NS && NOW_NS <= time->hi)
			p->ft.rows[n++] = p->ft.rows[i];
	}
	p->ft.n_rows = n;
}

static bool policy_make(struct policy *p, struct rnd *r, bool condensed)
{
	struct err err;
	uint32_t n_atoms = rnd_below(r, ATOMS_MAX + 1);

	memset(p, 0, sizeof(*p));
	tree_init(&p->tree);
	flowtab_init(&p->ft);
	for (uint32_t i = 0, n = 1 + rnd_below(r, NODES_MAX); i < n; i++)
		assert_int_equal(tree_add_node(&p->tree, i == 0 ? TREE_NO_PARENT : rnd_below(r, i)), i);
	for (uint32_t i = 0; i < n_atoms; i++)
		add_atom(p, r, 1 + i);
	if (hft_compile(&p->tree, NOW_NS, ROWS_MAX, &p->ft, &err) < 0)
		return false;
	if (condensed)
		assert_true(condense(&p->ft) >= 0);
	keep_current(p);
	p->sent = calloc(p->ft.n_rows + 1, sizeof(*p->sent));
	return true;
}

static void policy_free(struct policy *p)
{
	tree_fini(&p->tree);
	flowtab_fini(&p->ft);
	free(p->sent);
}

// The row the classifier finds, for every SIMD width.
static void classifier_agrees(const struct policy *p, const struct pkt *pkts, uint32_t n)
{
	static const uint32_t simd[] = {0, 128, 256, 512};
	const struct row **rows = calloc(p->ft.n_rows + 1, sizeof(*rows));
	struct cls_verdict *of_row = calloc(p->ft.n_rows + 1, sizeof(*of_row)), verdict[PKT_BURST];

	for (uint32_t i = 0; i < p->ft.n_rows; i++) {
		rows[i] = &p->ft.rows[i];
		of_row[i] = (struct cls_verdict){.class_slot = i, .has_row = 1};
	}
	for (int w = 0; w < 4; w++) {
		struct err err;
		struct cls *cls = cls_build(rows, of_row, p->ft.n_rows, next_cls_gen++, simd[w], &err);

		net_check(cls != NULL, err.msg);
		for (uint32_t at = 0; at < n; at += PKT_BURST) {
			uint32_t burst = RTE_MIN((uint32_t)PKT_BURST, n - at);

			cls_run(cls, pkts + at, burst, verdict);
			for (uint32_t i = 0; i < burst; i++) {
				struct action want = eval_frame(p, &pkts[at + i]);
				struct action got =
					verdict[i].has_row ? rows[verdict[i].class_slot]->action : action_none();

				assert_true(action_equal(&got, &want));
			}
		}
		cls_destroy(cls);
	}
	free(rows);
	free(of_row);
}

// One row whose action names these sets: its class is that of the packet.
static uint32_t row_of_sets(const struct policy *p, const struct action *a)
{
	for (uint32_t i = 0; i < p->ft.n_rows; i++) {
		struct action same = *a;

		same.access = p->ft.rows[i].action.access;
		if (action_equal(&same, &p->ft.rows[i].action))
			return i;
	}
	fail_msg("no row with the packet's reservations and limits");
	return 0;
}

static void worker_agrees(struct policy *p, const struct frame *f, const struct pkt *pkt)
{
	struct action want = eval_frame(p, pkt);
	uint64_t denied = net_counter(&net, 0, COUNTER_denied);

	if (pkt->src_mac == pkt->dst_mac) // a bridge drops that whatever the policy
		return;
	net.now_tsc += (NET_AGEING_S + 1) * NET_HZ; // nothing known of earlier frames; all buckets full
	net_inject(&net, 0, f);
	net_turn(&net);
	if (want.access == ACCESS_DENY) {
		net_expect_silence(&net, 1);
		assert_int_equal(net_counter(&net, 0, COUNTER_denied), denied + 1);
		return;
	}
	net_expect_out(&net, 1, f);
	assert_int_equal(net_counter(&net, 0, COUNTER_denied), denied);
	if (want.limits.n > 0)
		p->sent[row_of_sets(p, &want)]++;
}

static uint32_t class_of_row(const struct policy *p, uint32_t row)
{
	const struct action *a = &p->ft.rows[row].action;
	struct sched_set set = {.n_reservations = a->reservations.n, .n_limits = a->limits.n};

	for (unsigned int i = 0; i < a->reservations.n; i++)
		set.reservation[i] = sched_slots_meter(net.slots, a->reservations.id[i]);
	for (unsigned int i = 0; i < a->limits.n; i++)
		set.limit[i] = sched_slots_meter(net.slots, a->limits.id[i]);
	sched_set_seal(&set);
	return sched_class(net.sched[1], &set, net.now_tsc);
}

static void classes_sent_what_was_meant_for_them(const struct policy *p)
{
	for (uint32_t i = 0; i < p->ft.n_rows; i++) {
		struct sched_class_stats stats;

		if (p->sent[i] == 0)
			continue;
		sched_class_stats(net.sched[1], class_of_row(p, i), &stats);
		assert_int_equal(stats.packets, p->sent[i]);
	}
}

static void one_policy(struct rnd *r, bool condensed)
{
	static struct frame frames[FRAMES_PER_TREE];
	static struct pkt pkts[FRAMES_PER_TREE];
	struct policy p;

	if (policy_make(&p, r, condensed)) {
		net_publish(&net, p.ft.rows, p.ft.n_rows, p.meters, p.n_meters);
		net_turn(&net);
		for (int i = 0; i < FRAMES_PER_TREE; i++) {
			rnd_frame(r, &frames[i]);
			assert_int_equal(
				pkt_parse_bytes(frames[i].data, frames[i].len, frames[i].len, NET_MAX_FRAME, &pkts[i]),
				PKT_OK);
		}
		classifier_agrees(&p, pkts, FRAMES_PER_TREE);
		for (int i = 0; i < FRAMES_PER_TREE; i++)
			worker_agrees(&p, &frames[i], &pkts[i]);
		classes_sent_what_was_meant_for_them(&p);
		net_publish(&net, NULL, 0, NULL, 0);
		net_turn(&net);
		net_forget_meters(&net, p.meters, p.n_meters); // the next policy's are others, of the same numbers
	}
	policy_free(&p);
}

static void worker_does_what_the_tree_says(void **state)
{
	uint64_t seed = rnd_first_seed(11);
	long rounds = rnd_rounds(300);

	print_message("seeds %llu and up, %ld rounds\n", (unsigned long long)seed, rounds);
	net_open(&net, 2, NET_HZ, 0, 63);
	for (long i = 0; i < rounds; i++) {
		struct rnd r = rnd_seed(seed + (uint64_t)i);

		failing_seed = seed + (uint64_t)i;
		one_policy(&r, failing_seed % 2 == 1);
	}
	failing_seed = 0;
	assert_true(net_counter(&net, 0, COUNTER_denied) > 0 && net_counter(&net, 1, COUNTER_tx_packets) > 0);
	net_expect_all_accounted_for(&net);
	net_close(&net);
}

static int setup(void **state)
{
	test_eal_init();
	return 0;
}

static int teardown(void **state)
{
	if (failing_seed != 0)
		print_message("failed with PANE_SEED=%llu\n", (unsigned long long)failing_seed);
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(worker_does_what_the_tree_says),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
