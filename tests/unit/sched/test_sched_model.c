// SPDX-License-Identifier: Apache-2.0
// Random trees of shares and classes against a slow, obvious fluid model: every reservation is split among its
// backlogged classes, then what is left flows down the tree, drop by drop, at each node by weight among those below
// that no limit stops (a node's own classes are one more child of weight 1), until the line is full.
// PANE_SEED starts elsewhere, PANE_ROUNDS goes on longer; a failure prints the seed of its round.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "dataplane/sched_slots.h"
#include "sim.h"
#include "tests/rounds.h"

#define LINE_MBIT 100
#define N_MAX 30 // classes, best effort included
#define NODES_MAX 12
#define WARM_MS 300
#define RUN_MS 4000

struct world {
	unsigned int n_classes, n_res, n_limits, n_nodes;
	double line, res[N_MAX], limit[N_MAX], guaranteed[N_MAX];
	unsigned int node[N_MAX], parent[NODES_MAX], weight[NODES_MAX];   // node 0: the root; weight 0: background
	bool crossing;                                                    // limits are not nested
	bool has_res[N_MAX][N_MAX], has_limit[N_MAX][N_MAX], busy[N_MAX]; // [class][meter]
	uint32_t len_bytes[N_MAX];
};

static uint64_t rnd_state;

static unsigned int rnd(unsigned int n) // splitmix64
{
	uint64_t z = (rnd_state += 0x9e3779b97f4a7c15u);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
	z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
	return (unsigned int)((z ^ (z >> 31)) % n);
}

static double members_sum(const struct world *w, unsigned int limit, const double *x)
{
	double sum = 0;

	for (unsigned int c = 0; c < w->n_classes; c++)
		sum += w->has_limit[c][limit] && w->busy[c] ? x[c] : 0;
	return sum;
}

static void fluid_guarantees(struct world *w)
{
	memset(w->guaranteed, 0, sizeof(w->guaranteed));
	for (unsigned int r = 0; r < w->n_res; r++) {
		unsigned int n = 0;

		for (unsigned int c = 0; c < w->n_classes; c++)
			n += w->has_res[c][r] && w->busy[c];
		for (unsigned int c = 0; c < w->n_classes; c++)
			w->guaranteed[c] += w->has_res[c][r] && w->busy[c] ? w->res[r] / n : 0;
	}
}

static void find_stopped(const struct world *w, const double *rate, bool *stopped)
{
	for (unsigned int c = 0; c < w->n_classes; c++)
		stopped[c] = !w->busy[c];
	for (unsigned int l = 0; l < w->n_limits; l++) {
		for (unsigned int c = 0; c < w->n_classes && members_sum(w, l, rate) > w->limit[l] - 1e-9; c++)
			stopped[c] |= w->has_limit[c][l];
	}
}

// How many classes of the node itself, or also (deep) of those below, no limit stops.
static unsigned int count_open(const struct world *w, unsigned int node, const bool *stopped, bool deep)
{
	unsigned int n = 0;

	for (unsigned int c = 0; c < w->n_classes; c++)
		n += w->node[c] == node && !stopped[c];
	for (unsigned int k = 1; k < w->n_nodes && deep; k++)
		n += w->parent[k] == node ? count_open(w, k, stopped, true) : 0;
	return n;
}

static void pour(const struct world *w, unsigned int node, double drop, const bool *stopped, double *rate)
{
	unsigned int own = count_open(w, node, stopped, false), weights = own > 0;

	for (unsigned int k = 1; k < w->n_nodes; k++)
		weights += w->parent[k] == node && count_open(w, k, stopped, true) > 0 ? w->weight[k] : 0;
	for (unsigned int c = 0; c < w->n_classes && weights > 0; c++)
		rate[c] += w->node[c] == node && !stopped[c] ? drop / weights / own : 0;
	for (unsigned int k = 1; k < w->n_nodes; k++) {
		if (w->parent[k] != node || count_open(w, k, stopped, true) == 0)
			continue;
		if (weights > 0)
			pour(w, k, drop * w->weight[k] / weights, stopped, rate);
		else
			pour(w, k, drop, stopped, rate); // background, one node at most
	}
}

// rate[c] in Mb/s: pours until the next limit is full.
static void fluid_rates(const struct world *w, double *rate)
{
	double left = w->line;

	for (unsigned int c = 0; c < w->n_classes; c++) {
		rate[c] = w->guaranteed[c];
		left -= rate[c];
	}
	while (left > 1e-9) {
		double poured[N_MAX] = {0}, most = left;
		bool stopped[N_MAX];

		find_stopped(w, rate, stopped);
		if (count_open(w, 0, stopped, true) == 0)
			return;
		pour(w, 0, 1, stopped, poured);
		for (unsigned int l = 0; l < w->n_limits; l++) {
			double gain = members_sum(w, l, poured), room = w->limit[l] - members_sum(w, l, rate);

			most = gain > 0 && room / gain < most ? room / gain : most;
		}
		for (unsigned int c = 0; c < w->n_classes; c++)
			rate[c] += most * poured[c];
		left -= most;
	}
}

// How a reservation is split among classes of different limits is not promised: it has one class, or such without.
static void strip_sharing(struct world *w, bool shaped)
{
	for (unsigned int r = 0; r < w->n_res; r++) {
		int only = -1;

		for (unsigned int c = 0; c < w->n_classes; c++) {
			bool limited = false;

			for (unsigned int l = shaped ? 0 : 1; l < w->n_limits; l++)
				limited |= w->has_limit[c][l];
			if (!w->has_res[c][r])
				continue;
			if (only >= 0 && limited)
				w->has_res[c][r] = false;
			else if (limited)
				only = (int)c;
		}
		for (unsigned int c = 0; c < w->n_classes && only >= 0; c++)
			w->has_res[c][r] = (int)c == only;
	}
}

static bool is_below(const struct world *w, unsigned int node, unsigned int top)
{
	while (node != 0 && node != top)
		node = w->parent[node];
	return node == top;
}

// Nested: a limit of all in a share, or of some of its own classes, those also of the wider ones. Or crossing at
// random.
static void random_limits(struct world *w, bool shaped)
{
	for (unsigned int l = 0; l < w->n_limits; l++) {
		unsigned int top = !shaped && l == 0 ? 0 : rnd(w->n_nodes), first = rnd(3) ? 0 : rnd(w->n_classes);

		if (shaped && top == 0 && first == 0)
			first = 1; // best effort, which is in the root, has no limit

		for (unsigned int c = 1; c < w->n_classes; c++) {
			bool inside = first == 0 ? is_below(w, w->node[c], top) : w->node[c] == top && c >= first;

			w->has_limit[c][l] = inside || (!shaped && l == 0) || (w->crossing && rnd(4) == 0);
		}
	}
}

static void random_world(struct world *w, bool shaped, bool crossing)
{
	double promised = 0;
	bool has_background = false;

	*w = (struct world){.n_classes = 2 + rnd(N_MAX - 2),
			    .n_res = rnd(8),
			    .n_limits = rnd(6),
			    .n_nodes = 1 + rnd(NODES_MAX),
			    .crossing = crossing};
	w->line = shaped ? LINE_MBIT : 1e9;
	for (unsigned int r = 0; r < w->n_res; r++) {
		w->res[r] = 1 + rnd(25);
		promised += w->res[r];
	}
	for (unsigned int r = 0; r < w->n_res && promised > 0.9 * LINE_MBIT; r++)
		w->res[r] *= 0.9 * LINE_MBIT / promised;
	for (unsigned int c = 0; c < w->n_classes; c++) {
		w->busy[c] = rnd(4) != 0;
		w->node[c] = c == 0 ? 0 : rnd(w->n_nodes);
		w->len_bytes[c] = 64 + rnd(1451);
		for (unsigned int r = 0; r < w->n_res && c > 0; r++)
			w->has_res[c][r] = rnd(5) == 0;
	}
	for (unsigned int n = 1; n < w->n_nodes; n++) {
		w->parent[n] = rnd(n);
		w->weight[n] = rnd(3) == 0 ? 1 + rnd(20) : 1 + rnd(4);
		if (w->parent[n] == 0 && !has_background && rnd(6) == 0) {
			w->weight[n] = SCHED_WEIGHT_BACKGROUND;
			has_background = true;
		}
	}
	random_limits(w, shaped);
	strip_sharing(w, shaped);
	w->busy[0] &= shaped; // without a line best effort has no rate
	fluid_guarantees(w);
	for (unsigned int l = 0; l < w->n_limits; l++) // a limit below its reservations is another test
		w->limit[l] = 1 + rnd(60) + 1.15 * members_sum(w, l, w->guaranteed);
	for (unsigned int c = 0; c < w->n_classes && !shaped; c++)
		w->busy[c] &= w->n_limits > 0 && c > 0;
	fluid_guarantees(w);
}

static struct sim *build(const struct world *w, bool shaped)
{
	struct sim *sim = sim_create(shaped ? LINE_MBIT * MBIT : 0, 1, 2600000000);
	struct sim_plan p;

	sim_plan_init(&p);
	for (unsigned int r = 0; r < w->n_res; r++)
		sim_plan_meter(&p, r, 1 + r, (uint64_t)(w->res[r] * 1e6));
	for (unsigned int l = 0; l < w->n_limits; l++)
		sim_plan_meter(&p, 20 + l, 100 + l, (uint64_t)(w->limit[l] * 1e6));
	for (unsigned int n = 1; n < w->n_nodes; n++)
		sim_plan_node(&p, n, w->parent[n], w->weight[n]);
	for (unsigned int c = 1; c < w->n_classes; c++) {
		int res[N_MAX + 1], limit[N_MAX + 1], n_res = 0, n_limits = 0;

		for (unsigned int r = 0; r < w->n_res; r++) {
			if (w->has_res[c][r])
				res[n_res++] = (int)r;
		}
		for (unsigned int l = 0; l < w->n_limits; l++) {
			if (w->has_limit[c][l])
				limit[n_limits++] = (int)(20 + l);
		}
		res[n_res] = limit[n_limits] = -1;
		sim_plan_class(&p, c, 1, res, limit);
		sim_plan_class_in(&p, c, w->node[c], false);
	}
	sim_adopt(sim, &p);
	sim->late_ns = rnd(3) * 20000;
	for (unsigned int c = 0; c < w->n_classes; c++) {
		if (w->busy[c])
			sim_backlog(sim, 0, c, w->len_bytes[c]);
	}
	return sim;
}

static void print_world(const struct world *w, const double *want, const struct sim *sim, const uint64_t *before)
{
	for (unsigned int n = 1; n < w->n_nodes; n++)
		print_message("node %2u weight %u parent %u\n", n, w->weight[n], w->parent[n]);
	for (unsigned int c = 0; c < w->n_classes; c++) {
		if (!w->busy[c])
			continue;
		print_message("class %2u node %2u len %4u guaranteed %7.3f fluid %7.3f got %7.3f", c, w->node[c],
			      w->len_bytes[c], w->guaranteed[c], want[c], sim_mbit(sim, c, before[c], RUN_MS * SIM_MS));
		for (unsigned int l = 0; l < w->n_limits; l++) {
			if (w->has_limit[c][l])
				print_message(" limit%u %.0f", l, w->limit[l]);
		}
		print_message("\n");
	}
}

static bool limits_hold(const struct world *w, const struct sim *sim)
{
	for (unsigned int l = 0; l < w->n_limits; l++) {
		double bytes_ms = w->limit[l] * 125, burst = bytes_ms * 5 > 2 * MTU ? bytes_ms * 5 : 2 * MTU;

		for (uint32_t ms = 0; ms + 10 <= RUN_MS; ms++) {
			double sum = 0;

			for (unsigned int c = 0; c < w->n_classes; c++) {
				for (uint32_t k = 0; k < 10; k++)
					sum += w->has_limit[c][l] ? sim->bin[c][ms + k] : 0;
			}
			if (sum > bytes_ms * 10 + burst + 1) {
				print_message("limit %u: %f bytes in 10 ms from %u\n", l, sum, ms);
				return false;
			}
		}
	}
	return true;
}

// A limit with many classes opens late (sched.h): so long its classes may have to wait.
static double late_ms(const struct world *w, unsigned int c)
{
	double late = 0;

	for (unsigned int l = 0; l < w->n_limits; l++) {
		unsigned int n = 0;

		for (unsigned int o = 0; o < w->n_classes; o++)
			n += w->has_limit[o][l] && w->busy[o];
		if (w->has_limit[c][l] && n >= 16)
			late += n / 200.0;
	}
	return late;
}

// The slowest thing that a frame of others may be in the way at.
static double bottleneck(const struct world *w, unsigned int c)
{
	double least = w->line < LINE_MBIT ? w->line : LINE_MBIT;

	for (unsigned int l = 0; l < w->n_limits; l++)
		least = w->has_limit[c][l] && w->limit[l] < least ? w->limit[l] : least;
	return least;
}

static bool guarantees_hold(const struct world *w, const struct sim *sim)
{
	for (unsigned int c = 0; c < w->n_classes; c++) {
		double want = w->guaranteed[c] * (1250 * (w->crossing ? 0.9 : 0.98) - 125 * late_ms(w, c)) -
			      2 * w->len_bytes[c] - 2 * MTU * w->guaranteed[c] / bottleneck(w, c);
		double least = (double)sim_window_min(sim, c, 10, WARM_MS, WARM_MS + RUN_MS);
		unsigned int sharing = 0;

		for (unsigned int r = 0; r < w->n_res; r++) {
			for (unsigned int o = 0; o < w->n_classes; o++)
				sharing += o != c && w->has_res[c][r] && w->has_res[o][r] && w->busy[o];
		}
		if (w->busy[c] && sharing == 0 && least < want) {
			print_message("class %u: %f bytes in the worst 10 ms, %f wanted\n", c, least, want);
			return false;
		}
	}
	return true;
}

// What is promised where limits cross, too.
static bool sum_holds(const struct world *w, const double *want, const struct sim *sim, const uint64_t *before)
{
	double sum = 0, is = 0;

	for (unsigned int c = 0; c < w->n_classes; c++) {
		sum += want[c];
		is += w->busy[c] ? sim_mbit(sim, c, before[c], RUN_MS * SIM_MS) : 0;
	}
	return w->line > 1e6 || is > 0.9 * sum;
}

static void one_round(uint64_t seed, bool shaped, bool crossing)
{
	double want[N_MAX];
	uint64_t before[N_MAX];
	struct world w;
	struct sim *sim;
	bool good;

	rnd_state = seed;
	random_world(&w, shaped, crossing);
	fluid_rates(&w, want);
	sim = build(&w, shaped);
	sim_run(sim, WARM_MS * SIM_MS);
	for (unsigned int c = 0; c < w.n_classes; c++)
		before[c] = sim_bytes(sim, c);
	sim_run(sim, RUN_MS * SIM_MS);
	good = limits_hold(&w, sim) && guarantees_hold(&w, sim) && sum_holds(&w, want, sim, before);
	for (unsigned int c = 0; c < w.n_classes && !crossing; c++) {
		double got = sim_mbit(sim, c, before[c], RUN_MS * SIM_MS);

		good &= !w.busy[c] || fabs(got - want[c]) <= 0.01 * want[c] + 0.04; // a quantum or two of 4 s
	}
	if (!good) {
		print_world(&w, want, sim, before);
		fail_msg("PANE_SEED=%lu %s %s", seed, shaped ? "shaped" : "unshaped", crossing ? "crossing" : "");
	}
	sim_destroy(sim);
}

static void rounds(bool shaped, bool crossing)
{
	uint64_t seed = seed_from_env(1);

	for (unsigned long i = 0, n = rounds_from_env(14); i < n; i++)
		one_round(seed + i, shaped, crossing);
}

static void long_run_rates_on_a_line_are_those_of_the_fluid_model(void **state)
{
	rounds(true, false);
}

static void long_run_rates_under_limits_alone_are_those_of_the_fluid_model(void **state)
{
	rounds(false, false);
}

static void crossing_limits_hold_and_break_no_promise(void **state)
{
	rounds(true, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_run_rates_on_a_line_are_those_of_the_fluid_model),
		cmocka_unit_test(long_run_rates_under_limits_alone_are_those_of_the_fluid_model),
		cmocka_unit_test(crossing_limits_hold_and_break_no_promise),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
