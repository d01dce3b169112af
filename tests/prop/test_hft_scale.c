// SPDX-License-Identifier: Apache-2.0
// Trees of the size of the benchmark scripts (root + 4 + 16 + 64 shares, a quarter of the atoms each allow, deny,
// reserve, limit): sampled packets get the evaluator's action. "--time FAMILY N" instead prints how long compiling
// takes.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "hft/compile.h"
#include "hft/condense.h"
#include "hft/eval.h"
#include "tests/prop/hft_random.h"

#define N_NODES 85
#define SECOND 1000000000LL

// wild: many wildcards, small pools; spec: nearly all atoms name both ends.
static const struct family {
	const char *name;
	uint32_t n_hosts, host_percent, n_ports;
} families[] = {{"wild", 16, 60, 8}, {"mid", 64, 90, 16}, {"spec", 256, 98, 64}};

static void host(struct span128 *address, struct box *box, uint32_t base, uint32_t n)
{
	*address = match_ip4_prefix(0x0a000000 + base + n, 32);
	box->kinds &= MATCH_KINDS_V4;
}

static struct box family_box(struct rng *rng, const struct family *family)
{
	struct box box = box_any();
	bool any = true;

	while (any) {
		if (rng_below(rng, 100) < family->host_percent) {
			host(&box.src, &box, 1, rng_below(rng, family->n_hosts));
			any = false;
		}
		if (rng_below(rng, 100) < family->host_percent) {
			host(&box.dst, &box, 0x10001, rng_below(rng, family->n_hosts));
			any = false;
		}
		if (rng_below(rng, 2) == 0) {
			uint64_t port = 80 + rng_below(rng, family->n_ports);

			box.f[MATCH_PROTO] = (struct span){6, 6};
			box.f[MATCH_DST_PORT] = (struct span){port, port};
			any = false;
		}
	}
	if (rng_below(rng, 2) == 0)
		box_set_time(&box, 0, (1000 + rng_below(rng, 1000)) * SECOND);
	if (!box_normalize(&box))
		abort();
	return box;
}

// Fewer than the most that may meet: then no packet can be in too many.
static bool fits(const struct tree *tree, const struct box *box, enum atom_part part)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < tree->n_atoms; i++)
		n += tree->atoms[i].part == part && box_overlaps(&tree->atoms[i].match.boxes[0], box);
	return n < ACTION_SET_MAX;
}

static void build_tree(struct tree *tree, struct rng *rng, const struct family *family, uint32_t n_atoms)
{
	tree_init(tree);
	for (uint32_t i = 0; i < N_NODES; i++) {
		if (tree_add_node(tree, i == 0 ? TREE_NO_PARENT : (i - 1) / 4) < 0)
			abort();
	}
	for (uint32_t i = 0; i < n_atoms; i++) {
		struct atom atom = {.id = i, .node = rng_below(rng, N_NODES), .access = ACCESS_ALLOW};
		struct box box = family_box(rng, family);

		switch (rng_below(rng, 4)) {
		case 0:
			atom.access = ACCESS_DENY;
			break;
		case 1:
			atom.part = fits(tree, &box, ATOM_RESERVE) ? ATOM_RESERVE : ATOM_ACCESS;
			break;
		case 2:
			atom.part = fits(tree, &box, ATOM_LIMIT) ? ATOM_LIMIT : ATOM_ACCESS;
			break;
		}
		if (match_add(&atom.match, &box) < 0 || tree_add_atom(tree, &atom) < 0)
			abort();
	}
}

static struct match_packet family_packet(struct rng *rng, const struct family *family)
{
	struct match_packet packet = {.kind = rng_below(rng, 8) == 0 ? MATCH_IP4 : MATCH_IP4PORTS};

	packet.src = match_ip4(0x0a000001 + rng_below(rng, family->n_hosts + 1));
	packet.dst = match_ip4(0x0a010001 + rng_below(rng, family->n_hosts + 1));
	packet.f[MATCH_PROTO] = 6;
	if (packet.kind == MATCH_IP4PORTS)
		packet.f[MATCH_DST_PORT] = 80 + rng_below(rng, family->n_ports + 1);
	packet.f[MATCH_TIME] = rng_below(rng, 2100) * (uint64_t)SECOND;
	return packet;
}

static void check_packets(struct rng *rng, const struct family *family, const struct tree *tree,
			  const struct flowtab *table)
{
	for (int i = 0; i < 1000; i++) {
		struct match_packet packet = family_packet(rng, family);
		struct action want = eval_packet(tree, &packet), got = action_none();
		const struct row *row = flowtab_find(table, &packet);

		if (row != NULL)
			got = row->action;
		if (!action_equal(&want, &got)) {
			print_packet(&packet);
			fail_msg("family %s, %u atoms: table and evaluator differ", family->name, tree->n_atoms);
		}
	}
}

static void large_tables_equal_the_evaluator(void **state)
{
	static const uint32_t sizes[] = {100, 300, 1000}; // by family
	uint64_t seed = seed_from_env(1);

	for (int i = 0; i < 3; i++) {
		struct rng rng = {.state = seed};
		struct flowtab table;
		struct tree tree;
		struct err err;

		flowtab_init(&table);
		build_tree(&tree, &rng, &families[i], sizes[i]);
		if (hft_compile(&tree, 0, COMPILE_ROWS_MAX, &table, &err) < 0)
			fail_msg("PANE_SEED=%llu: %s", (unsigned long long)seed, err.msg);
		check_packets(&rng, &families[i], &tree, &table);
		assert_true(condense(&table) > 0);
		check_packets(&rng, &families[i], &tree, &table);
		flowtab_fini(&table);
		tree_fini(&tree);
	}
}

static double now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (double)ts.tv_sec * 1e3 + (double)ts.tv_nsec / 1e6;
}

static int compare_doubles(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return x < y ? -1 : x > y;
}

static int print_times(const char *name, uint32_t n_atoms)
{
	double compile_ms[5], condense_ms[5];
	uint32_t n_rows[2] = {0};

	for (uint32_t f = 0; f < 3; f++) {
		struct rng rng = {.state = seed_from_env(1)};
		struct flowtab table;
		struct tree tree;
		struct err err;

		if (strcmp(families[f].name, name) != 0)
			continue;
		flowtab_init(&table);
		build_tree(&tree, &rng, &families[f], n_atoms);
		for (int i = 0; i < 5; i++) {
			double start = now_ms();

			if (hft_compile(&tree, 0, 2000000, &table, &err) < 0) {
				printf("%s %u: %s\n", name, n_atoms, err.msg);
				break;
			}
			compile_ms[i] = now_ms() - start;
			n_rows[0] = table.n_rows;
			start = now_ms();
			condense(&table);
			condense_ms[i] = now_ms() - start;
			n_rows[1] = table.n_rows;
		}
		qsort(compile_ms, 5, sizeof(double), compare_doubles);
		qsort(condense_ms, 5, sizeof(double), compare_doubles);
		printf("%s %u atoms: compile %.2f ms (%.2f-%.2f), %u rows; condense %.2f ms, %u rows\n", name, n_atoms,
		       compile_ms[2], compile_ms[0], compile_ms[4], n_rows[0], condense_ms[2], n_rows[1]);
		flowtab_fini(&table);
		tree_fini(&tree);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(large_tables_equal_the_evaluator),
	};

	if (argc == 4 && strcmp(argv[1], "--time") == 0)
		return print_times(argv[2], (uint32_t)strtoul(argv[3], NULL, 10));
	return cmocka_run_group_tests(tests, NULL, NULL);
}
