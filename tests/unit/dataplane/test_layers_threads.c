// SPDX-License-Identifier: Apache-2.0
// Layers with a reader in a thread of its own, which must never see a mixture.
#include "tests/unit/dataplane/layers_fixture.h"

// --- two threads: each commit replaces all rows by those of the next version; a lookup meets one version only

#define VERSION_ROWS 12
static _Atomic bool reader_stop;
static _Atomic long reader_bursts;

static void *read_versions(void *arg)
{
	struct fixture *f = arg;
	uint32_t out[PKT_BURST * CLS_CATEGORIES_MAX];
	struct pkt pkt[PKT_BURST];
	struct rnd r = rnd_seed(3);
	uint64_t last = 0;
	void *bad = NULL;

	for (int i = 0; i < PKT_BURST; i++) {
		struct frame frame;

		rnd_frame(&r, &frame);
		pkt_parse_bytes(frame.data, frame.len, frame.len, MAX_FRAME, &pkt[i]);
	}
	rte_rcu_qsbr_thread_register(f->rcu, 0);
	rte_rcu_qsbr_thread_online(f->rcu, 0);
	while (!atomic_load(&reader_stop) && bad == NULL) {
		const struct layers_view *view = &atomic_load_explicit(&f->live, memory_order_acquire)->view;

		layers_run(view, f->reader, pkt, PKT_BURST, out);
		for (uint32_t i = 0; i < PKT_BURST * view->n_categories; i++) {
			uint64_t version = out[i] == CLS_NO_ROW ? 0 : layers_slot(f->l, out[i])->payload.id;

			if (i % view->n_categories < VERSION_ROWS && version != view->gen)
				bad = f;
		}
		if (view->gen < last)
			bad = f;
		last = view->gen;
		atomic_fetch_add_explicit(&reader_bursts, 1, memory_order_relaxed);
		rte_rcu_qsbr_quiescent(f->rcu, 0);
	}
	rte_rcu_qsbr_thread_offline(f->rcu, 0);
	rte_rcu_qsbr_thread_unregister(f->rcu, 0);
	return bad;
}

static void reader_never_sees_a_mixture(void **state)
{
	uint32_t slot[VERSION_ROWS] = {0};
	pthread_t thread;
	struct layers_stats stats;
	void *bad;

	fixture_open(&fx, &(struct layers_conf){.simd_max_bits = 512});
	rte_rcu_qsbr_thread_offline(fx.rcu, 0);
	rte_rcu_qsbr_thread_unregister(fx.rcu, 0);
	atomic_store(&reader_stop, false);
	for (uint64_t version = 1, n = 1500; version <= n; version++) {
		struct layers_batch *b = layers_batch_create(fx.l);
		struct layers_view view;
		struct err err;
		int rc;

		for (uint32_t i = 0; i < VERSION_ROWS; i++) {
			struct cls_row row = wide_row((uint32_t)version % 7);

			if (version > 1)
				assert_int_equal(layers_batch_del(b, slot[i], &err), 0);
			row.payload.id = version;
			row.access_category = i < 2 ? (uint8_t)i : CLS_NO_CATEGORY;
			row.meter_category = i < 2 ? CLS_NO_CATEGORY : (uint8_t)i;
			slot[i] = layers_batch_add(b, &row, &err);
			assert_int_not_equal(slot[i], CLS_NO_ROW);
		}
		while ((rc = layers_commit(fx.l, b, &view, &err)) == -EAGAIN) {
			usleep(50);
			poll_layers(&fx, MS);
		}
		assert_int_equal(rc, 0);
		publish(&fx, &view);
		poll_layers(&fx, MS);
		if (version == 1)
			assert_int_equal(pthread_create(&thread, NULL, read_versions, &fx), 0);
	}
	atomic_store(&reader_stop, true);
	pthread_join(thread, &bad);
	assert_null(bad);
	assert_true(atomic_load(&reader_bursts) > 0);
	layers_stats(fx.l, &stats);
	assert_true(stats.merges > 10);
	fixture_close(&fx);
}

static int setup(void **state)
{
	test_eal_init();
	return 0;
}

static int teardown(void **state)
{
	return rte_eal_cleanup();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reader_never_sees_a_mixture),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
