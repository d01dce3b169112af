// SPDX-License-Identifier: Apache-2.0
// Random classes against a slow, obvious fluid model: every reservation is split among its backlogged classes, then all
// backlogged classes rise by their weight until the line is full or a limit stops them.
// PANE_SEED starts elsewhere, PANE_ROUNDS goes on longer; a failure prints the seed of its round.
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "sim.h"

#define LINE_MBIT 100
#define N_MAX 30 // classes, best effort included
#define WARM_MS 300
#define RUN_MS 4000

struct world {
	unsigned int n_classes, n_res, n_limits;
	double line, res[N_MAX], limit[N_MAX], weight[N_MAX], guaranteed[N_MAX];
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

// rate[c] in Mb/s. Small steps: the level rises, who is at a limit stops.
static void fluid_rates(const struct world *w, double *rate)
{
	const double step = LINE_MBIT / 2e5;
	bool rising = true;
	double sum = 0;

	for (unsigned int c = 0; c < w->n_classes; c++) {
		rate[c] = w->guaranteed[c];
		sum += rate[c];
	}
	while (rising && sum < w->line) {
		bool stopped[N_MAX] = {0};

		rising = false;
		for (unsigned int l = 0; l < w->n_limits; l++) {
			if (members_sum(w, l, rate) < w->limit[l])
				continue;
			for (unsigned int c = 0; c < w->n_classes; c++)
				stopped[c] |= w->has_limit[c][l];
		}
		for (unsigned int c = 0; c < w->n_classes; c++) {
			if (w->busy[c] && !stopped[c]) {
				rate[c] += step * w->weight[c];
				sum += step * w->weight[c];
				rising = true;
			}
		}
	}
}

// How a reservation is split among classes of different limits is not promised: those that share one have no others.
static void strip_limits_of_sharing(struct world *w, bool shaped)
{
	for (unsigned int r = 0; r < w->n_res; r++) {
		unsigned int n = 0;

		for (unsigned int c = 0; c < w->n_classes; c++)
			n += w->has_res[c][r];
		for (unsigned int c = 0; c < w->n_classes && n > 1; c++) {
			for (unsigned int l = shaped ? 0 : 1; l < w->n_limits && w->has_res[c][r]; l++)
				w->has_limit[c][l] = false;
		}
	}
}

// Either nested, so that a class names one limit and all around it, or crossing at random: there a class that needs
// several busy limits at once may come a few percent short.
static void random_limits(struct world *w, bool shaped)
{
	bool nested = rnd(2) == 0;
	int parent[N_MAX];

	w->crossing = !nested;
	for (unsigned int l = 0; l < w->n_limits; l++) // without a line, limit 0 is around all
		parent[l] = shaped || l == 0 ? (int)rnd(l + 1) - 1 : (int)rnd(l);
	for (unsigned int c = 1; c < w->n_classes; c++) {
		int at = (int)rnd(w->n_limits + 1) - 1;

		for (unsigned int l = 0; l < w->n_limits; l++)
			w->has_limit[c][l] = (!nested && rnd(4) == 0) || (!shaped && l == 0);
		for (; nested && at >= 0; at = parent[at])
			w->has_limit[c][at] = true;
	}
}

static void random_world(struct world *w, bool shaped)
{
	double promised = 0;

	*w = (struct world){.n_classes = 2 + rnd(N_MAX - 2), .n_res = rnd(8), .n_limits = rnd(6)};
	w->line = shaped ? LINE_MBIT : 1e9;
	for (unsigned int r = 0; r < w->n_res; r++) {
		w->res[r] = 1 + rnd(25);
		promised += w->res[r];
	}
	for (unsigned int r = 0; r < w->n_res && promised > 0.9 * LINE_MBIT; r++)
		w->res[r] *= 0.9 * LINE_MBIT / promised;
	for (unsigned int c = 0; c < w->n_classes; c++) {
		w->busy[c] = rnd(4) != 0;
		w->weight[c] = c == 0 ? 1 : 1 + rnd(3);
		w->len_bytes[c] = 64 + rnd(1451);
		for (unsigned int r = 0; r < w->n_res && c > 0; r++)
			w->has_res[c][r] = rnd(5) == 0;
	}
	random_limits(w, shaped);
	strip_limits_of_sharing(w, shaped);
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
		sim_plan_class(&p, c, (uint32_t)w->weight[c], res, limit);
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
	for (unsigned int c = 0; c < w->n_classes; c++) {
		if (!w->busy[c])
			continue;
		print_message("class %2u weight %.0f len %4u guaranteed %7.3f fluid %7.3f got %7.3f", c, w->weight[c],
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
			late = n / 200.0;
	}
	return late;
}

static bool guarantees_hold(const struct world *w, const struct sim *sim)
{
	for (unsigned int c = 0; c < w->n_classes; c++) {
		double want = w->guaranteed[c] * (1250 * 0.98 - 125 * late_ms(w, c)) - 2 * w->len_bytes[c] -
			      2 * MTU * w->guaranteed[c] / LINE_MBIT;
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

static void one_round(uint64_t seed, bool shaped)
{
	double want[N_MAX];
	uint64_t before[N_MAX];
	struct world w;
	struct sim *sim;
	bool good;

	rnd_state = seed;
	random_world(&w, shaped);
	fluid_rates(&w, want);
	sim = build(&w, shaped);
	sim_run(sim, WARM_MS * SIM_MS);
	for (unsigned int c = 0; c < w.n_classes; c++)
		before[c] = sim_bytes(sim, c);
	sim_run(sim, RUN_MS * SIM_MS);
	good = limits_hold(&w, sim) && guarantees_hold(&w, sim);
	for (unsigned int c = 0; c < w.n_classes; c++) {
		double got = sim_mbit(sim, c, before[c], RUN_MS * SIM_MS);
		double part = 0.01; // and 0.04: a quantum or two of 4 s

		good &= !w.busy[c] || fabs(got - want[c]) <= part * want[c] + 0.04;
	}
	if (!good) {
		print_world(&w, want, sim, before);
		fail_msg("PANE_SEED=%lu %s", seed, shaped ? "shaped" : "unshaped");
	}
	sim_destroy(sim);
}

static void rounds(bool shaped)
{
	const char *env = getenv("PANE_ROUNDS"), *from = getenv("PANE_SEED");
	unsigned int n = env != NULL ? (unsigned int)atoi(env) : 40;
	uint64_t seed = from != NULL ? strtoull(from, NULL, 10) : 1;

	for (unsigned int i = 0; i < n; i++)
		one_round(seed + i, shaped);
}

static void long_run_rates_on_a_line_are_those_of_the_fluid_model(void **state)
{
	rounds(true);
}

static void long_run_rates_under_limits_alone_are_those_of_the_fluid_model(void **state)
{
	rounds(false);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(long_run_rates_on_a_line_are_those_of_the_fluid_model),
		cmocka_unit_test(long_run_rates_under_limits_alone_are_those_of_the_fluid_model),
	};

	return cmocka_run_group_tests(tests, sim_group_setup, sim_group_teardown);
}
