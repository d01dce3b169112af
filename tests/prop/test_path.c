// SPDX-License-Identifier: Apache-2.0
// Random policy trees and random frames: what the worker does to a real mbuf is what the evaluator of the tree says.
//   eval(tree, packet) = what the rows by parts come to that the classifier finds (every SIMD width)
//   = forwarded or dropped by the worker, and sent in the class of exactly those reservations and limits
#include "tests/unit/dataplane/net_fixture.h"

#include "dataplane/dp_trace.h"
#include "dataplane/pkt.h"
#include "hft/eval.h"
#include "hft/parts_compile.h"
#include "tests/unit/dataplane/random_net.h"

#define NODES_MAX 5
#define ATOMS_MAX 9
#define ROWS_MAX (2 * ATOMS_MAX)
#define FRAMES_PER_TREE 150
#define NOW_NS 1000

static struct net net;
static struct dp_trace *trace;
static uint64_t failing_seed; // PANE_SEED=this PANE_ROUNDS=1 repeats the round
static uint32_t next_share = 1;

struct policy {
	struct tree tree;
	struct parts_nodes *nodes;
	struct parts *parts;
	struct part_row rows[ROWS_MAX]; // those in force at NOW_NS
	uint32_t n_rows;
	struct net_meter meters[ATOMS_MAX];
	uint32_t n_meters;
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

static int keep_current(void *ctx, const struct part_row *row)
{
	struct policy *p = ctx;
	const struct span *time = &row->box.f[MATCH_TIME];

	if (time->lo <= NOW_NS && NOW_NS <= time->hi)
		p->rows[p->n_rows++] = *row;
	return 0;
}

static void policy_make(struct policy *p, struct rnd *r)
{
	uint32_t n_atoms = rnd_below(r, ATOMS_MAX + 1);
	struct err err;

	memset(p, 0, sizeof(*p));
	tree_init(&p->tree);
	for (uint32_t i = 0, n = 1 + rnd_below(r, NODES_MAX); i < n; i++) {
		assert_int_equal(tree_add_node(&p->tree, i == 0 ? TREE_NO_PARENT : rnd_below(r, i)), i);
		p->tree.nodes[i].number = i == 0 ? 0 : next_share++;
		if (i > 0)
			names_node_set(net.names, p->tree.nodes[i].number,
				       p->tree.nodes[p->tree.nodes[i].parent].number, &err);
	}
	for (uint32_t i = 0; i < n_atoms; i++)
		add_atom(p, r, 1 + i);
	p->nodes = parts_nodes_create();
	p->parts = parts_create(p->nodes);
	net_check(parts_compile(&p->tree, NOW_NS, p->nodes, p->parts, &err) == 0, err.msg);
	parts_each(p->parts, keep_current, p);
}

static void policy_free(struct policy *p)
{
	for (uint32_t i = p->tree.n_nodes - 1; i > 0; i--)
		names_node_del(net.names, p->tree.nodes[i].number, 0);
	names_reap(net.names, 1, 0);
	parts_destroy(p->parts);
	parts_nodes_destroy(p->nodes);
	tree_fini(&p->tree);
}

static struct sched_set set_of(const struct action *a)
{
	struct sched_set set = {.n_reservations = a->reservations.n, .n_limits = a->limits.n};

	for (unsigned int i = 0; i < a->reservations.n; i++)
		set.reservation[i] = sched_slots_meter(net.slots, a->reservations.id[i]);
	for (unsigned int i = 0; i < a->limits.n; i++)
		set.limit[i] = sched_slots_meter(net.slots, a->limits.id[i]);
	sched_set_seal(&set);
	return set;
}

// A classifier for each SIMD width, the rows of policy after policy in it.
static struct width {
	struct layers *layers;
	struct layers_reader *reader;
	struct combine *combine;
	uint32_t row[ROWS_MAX], n_rows;
} widths[4];

static void widths_open(void)
{
	static const uint32_t simd[] = {0, 128, 256, 512};
	struct err err;

	for (int i = 0; i < 4; i++) {
		struct layers_conf conf = {.rcu = net.slot.rcu, .simd_max_bits = simd[i], .max_slots = 4096};

		widths[i].layers = layers_create(&conf, &err);
		net_check(widths[i].layers != NULL, err.msg);
		widths[i].reader = layers_reader_create(widths[i].layers);
		widths[i].combine = combine_create(names_nodes(net.names), widths[i].layers, NULL, &err);
		assert_true(widths[i].reader != NULL && widths[i].combine != NULL);
	}
}

static void widths_close(void)
{
	for (int i = 0; i < 4; i++) {
		combine_destroy(widths[i].combine);
		layers_reader_destroy(widths[i].reader);
		layers_destroy(widths[i].layers);
	}
}

static struct layers_view take_rows(struct width *w, const struct policy *p)
{
	struct layers_batch *b = layers_batch_create(w->layers);
	struct layers_view view;
	struct err err;
	int rc;

	for (uint32_t i = 0; i < w->n_rows; i++)
		layers_batch_del(b, w->row[i], &err);
	for (uint32_t i = 0; i < p->n_rows; i++) {
		struct cls_row row;

		net_check(cls_fill(&p->rows[i], net.slots, net.names, &row, &err) == 0, err.msg);
		w->row[i] = layers_batch_add(b, &row, &err);
		net_check(w->row[i] != CLS_NO_ROW, err.msg);
	}
	w->n_rows = p->n_rows;
	while ((rc = layers_commit(w->layers, b, &view, &err)) == -EAGAIN) {
		layers_poll(w->layers, ++net.poll_ns);
		usleep(20);
	}
	net_check(rc == 0, err.msg);
	return view;
}

// What the rows that the classifier finds come to, for every SIMD width.
static void classifier_agrees(const struct policy *p, const struct pkt *pkts, uint32_t n)
{
	uint32_t met[PKT_BURST * CLS_CATEGORIES_MAX];

	for (int w = 0; w < 4; w++) {
		struct layers_view view = take_rows(&widths[w], p);

		for (uint32_t at = 0; at < n; at += PKT_BURST) {
			uint32_t burst = RTE_MIN((uint32_t)PKT_BURST, n - at);

			layers_run(&view, widths[w].reader, pkts + at, burst, met);
			for (uint32_t i = 0; i < burst; i++) {
				struct action want = eval_frame(p, &pkts[at + i]);
				struct sched_set set = set_of(&want);
				const struct combined *got = combine_get(
					widths[w].combine, view.epoch, &met[i * view.n_categories], view.n_categories);

				assert_int_equal(got->drop, want.access == ACCESS_DENY);
				assert_true(sched_set_equal(&got->rest->set, &set));
			}
		}
	}
}

// What its class has sent so far.
static uint64_t n_sent_in_class(const struct action *a)
{
	struct sched_set set = set_of(a);
	struct sched_class_stats stats;

	sched_class_stats(net.sched[1], sched_class(net.sched[1], &set, net.now_tsc), &stats);
	return stats.packets;
}

// The worker says which class that is, at the next tick of its clock.
static void queue_is_told(const struct action *a)
{
	struct sched_set set = set_of(a);
	uint32_t class = 0;

	assert_true(class_ask_put(&net.ask, 1, &set));
	assert_false(class_ask_put(&net.ask, 1, &set));
	assert_false(class_ask_take(&net.ask, &class));
	net.now_tsc += NET_HZ / 100;
	net_turn(&net);
	assert_true(class_ask_take(&net.ask, &class));
	assert_int_equal(class, sched_class(net.sched[1], &set, net.now_tsc));
}

static void worker_agrees(const struct policy *p, const struct frame *f, const struct pkt *pkt)
{
	struct action want = eval_frame(p, pkt);
	uint64_t denied = net_counter(&net, 0, COUNTER_denied), sent;

	if (pkt->src_mac == pkt->dst_mac) // a bridge drops that whatever the policy
		return;
	net.now_tsc += (NET_AGEING_S + 1) * NET_HZ; // nothing known of earlier frames; all buckets full
	net_turn(&net);                             // classes that were idle for so long are gone, and their figures
	sent = n_sent_in_class(&want);
	net_inject(&net, 0, f);
	net_turn(&net);
	if (want.access == ACCESS_DENY) {
		net_expect_silence(&net, 1);
		assert_int_equal(net_counter(&net, 0, COUNTER_denied), denied + 1);
		return;
	}
	net_expect_out(&net, 1, f);
	assert_int_equal(net_counter(&net, 0, COUNTER_denied), denied);
	if (want.reservations.n + want.limits.n > 0) { // best effort that nothing holds back is not counted by class
		uint64_t now_sent = n_sent_in_class(&want);

		assert_true(now_sent == sent + 1 || now_sent == 1); // a class that has rested so long begins anew
		queue_is_told(&want);
	}
}

// What a question is answered is what the worker does.
static void trace_agrees(const struct policy *p, const struct pkt *pkt)
{
	static struct proto_traced got;
	struct action want = eval_frame(p, pkt);
	struct proto_trace question = {.number = 7, .port = 1};
	const struct sched_set *set;

	pkt_to_match_packet(pkt, NOW_NS, &question.packet);
	set = dp_trace_answer(trace, atomic_load(&net.slot.live), &question, &got);
	assert_int_equal(set == NULL, got.drop);
	assert_int_equal(got.number, 7);
	assert_int_equal(got.drop, want.access == ACCESS_DENY);
	assert_int_equal(got.reservations.n, want.reservations.n);
	assert_int_equal(got.limits.n, want.limits.n);
	assert_memory_equal(got.reservations.id, want.reservations.id,
			    want.reservations.n * sizeof(want.reservations.id[0]));
	assert_memory_equal(got.limits.id, want.limits.id, want.limits.n * sizeof(want.limits.id[0]));
	if (set != NULL) {
		struct sched_set wanted = set_of(&want);

		assert_true(sched_set_equal(set, &wanted));
	}
	for (uint16_t i = 0; i < got.n_rows; i++) { // each is one of the policy's that covers it
		uint32_t k = 0;

		while (k < p->n_rows && part_row_key(&p->rows[k]) != got.row[i].key)
			k++;
		assert_true(k < p->n_rows && box_covers(&p->rows[k].box, &question.packet));
	}
}

static void one_policy(struct rnd *r)
{
	static struct frame frames[FRAMES_PER_TREE];
	static struct pkt pkts[FRAMES_PER_TREE];
	static struct policy p;

	policy_make(&p, r);
	net_publish(&net, p.rows, p.n_rows, p.meters, p.n_meters);
	net_turn(&net);
	for (int i = 0; i < FRAMES_PER_TREE; i++) {
		rnd_frame(r, &frames[i]);
		assert_int_equal(pkt_parse_bytes(frames[i].data, frames[i].len, frames[i].len, NET_MAX_FRAME, &pkts[i]),
				 PKT_OK);
	}
	classifier_agrees(&p, pkts, FRAMES_PER_TREE);
	for (int i = 0; i < FRAMES_PER_TREE; i++)
		trace_agrees(&p, &pkts[i]);
	for (int i = 0; i < FRAMES_PER_TREE; i++)
		worker_agrees(&p, &frames[i], &pkts[i]);
	net_publish(&net, NULL, 0, NULL, 0);
	net_turn(&net);
	net_forget_meters(&net, p.meters, p.n_meters); // the next policy's are others, of the same numbers
	policy_free(&p);
}

static void worker_does_what_the_tree_says(void **state)
{
	uint64_t seed = seed_from_env(11);
	long rounds = rounds_from_env(300);
	struct err err;

	print_message("seeds %llu and up, %ld rounds\n", (unsigned long long)seed, rounds);
	net_open(&net, 2, NET_HZ, 0, 63);
	widths_open();
	trace = dp_trace_create(net.layers, names_nodes(net.names), false, &err);
	net_check(trace != NULL, err.msg);
	for (long i = 0; i < rounds; i++) {
		struct rnd r = rnd_seed(seed + (uint64_t)i);

		failing_seed = seed + (uint64_t)i;
		one_policy(&r);
	}
	failing_seed = 0;
	assert_true(net_counter(&net, 0, COUNTER_denied) > 0 && net_counter(&net, 1, COUNTER_tx_packets) > 0);
	net_expect_all_accounted_for(&net);
	dp_trace_destroy(trace);
	widths_close();
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
