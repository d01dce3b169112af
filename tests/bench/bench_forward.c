// SPDX-License-Identifier: Apache-2.0
// Packets through the real worker, in the manner of testpmd: ports, rules, flows, one core; what a packet costs.
// Rates are given by the wall clock and by the CPU time of the worker's thread: the latter is what a core of its own
// would do, and stays the same on a machine that others use, too.
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include <rte_common.h>

#include "bench.h"
#include "forward.h"
#include "forward_net.h"

#define PATH_BYTES 256
#define PORTS_MAX 16
#define NAME_BYTES 16
#define SETTLE_S 0.2
#define STARVED_S 30 // longer than this, and so many times what was asked for, no run waits for its processor time
#define STEP_MS 1
#define FCS_BYTES 4
#define FRAME_MIN 60
#define RECORD_BYTES 16 // before each frame in a capture file

struct forward {
	const struct bench_opts *opts;
	struct rules rules;
	struct forward_policy policy;
	struct flows flows;
	char dir[64]; // of our own for the capture files; empty: none
	char *ports;
	struct dp_port_conf port[PORTS_MAX];
	char name[PORTS_MAX][NAME_BYTES], device[PORTS_MAX][PATH_BYTES + 32];
	uint32_t n_ports;
	uint32_t n_held; // buffers for what capture files hold
};

static void forward_free(struct forward *f)
{
	char path[PATH_BYTES];

	for (int i = 0; i < 2 && f->dir[0] != '\0'; i++) {
		snprintf(path, sizeof(path), "%s/%d.pcap", f->dir, i);
		unlink(path);
	}
	if (f->dir[0] != '\0')
		rmdir(f->dir);
	flows_free(&f->flows);
	rules_free(&f->rules);
	free(f->ports);
}

// At most so many frames are in the first file of "IN,OUT...".
static uint32_t frames_in(const char *files)
{
	char path[PATH_BYTES + 32];
	struct stat st;

	snprintf(path, sizeof(path), "%.*s", (int)strcspn(files, ","), files);
	return stat(path, &st) < 0 ? 0 : (uint32_t)((uint64_t)st.st_size / (FRAME_MIN + RECORD_BYTES)) + 1;
}

static int add_port(struct forward *f, struct err *err, const char *fmt, const char *arg)
{
	uint32_t i = f->n_ports;

	if (i == PORTS_MAX)
		return err_set(err, EINVAL, "--ports: at most %d", PORTS_MAX);
	snprintf(f->name[i], sizeof(f->name[i]), "p%u", i);
	if ((size_t)snprintf(f->device[i], sizeof(f->device[i]), fmt, arg) >= sizeof(f->device[i]))
		return err_set(err, ENAMETOOLONG, "--ports: \"%.64s...\" is too long", arg);
	f->port[i] = (struct dp_port_conf){.name = f->name[i], .device = f->device[i]};
	f->n_ports++;
	if (strncmp(f->device[i], "pcap:", 5) == 0 && strstr(f->device[i], "infinite_rx=1") != NULL) {
		f->n_held += frames_in(f->device[i] + 5);
		for (const char *at = f->device[i]; (at = strstr(at, "rx_pcap=")) != NULL; at++)
			f->n_held += frames_in(at + strlen("rx_pcap="));
	}
	return 0;
}

// What each of two sides sends, as two capture files: PREFIX0.pcap and PREFIX1.pcap.
static int write_flows(struct forward *f, const char *prefix, struct err *err)
{
	const struct bench_opts *o = f->opts;
	int rc = 0;

	for (int i = 0; i < 2 && rc == 0; i++) {
		char path[PATH_BYTES + 16];

		snprintf(path, sizeof(path), "%s%d.pcap", prefix, i);
		rc = flows_write(&f->flows, path, o->frame_bytes - FCS_BYTES, o->hosts, (uint32_t)i, err);
	}
	return rc;
}

static int write_rules(const struct forward *f, const char *prefix, struct err *err)
{
	char path[PATH_BYTES + 16];

	snprintf(path, sizeof(path), "%srules", prefix);
	return rules_write(&f->rules, path, err);
}

static int make_flows(struct forward *f, struct err *err)
{
	const struct bench_opts *o = f->opts;

	if (o->trace != NULL)
		return flows_load(o->trace, &f->flows, err);
	if (flows_make(&f->rules, o->flows, o->seed, &f->flows) < 0)
		return err_set(err, ENOMEM, "no memory for %u flows", o->flows);
	return 0;
}

static uint32_t n_workers(const struct bench_opts *o)
{
	uint32_t n = 0;

	for (const char *at = o->cores; at != NULL && *at != '\0'; at++)
		n += *at == ',';
	return n > 1 ? n : 1;
}

static int own_ports(struct forward *f, struct err *err)
{
	const char *tmp = getenv("TMPDIR");
	char prefix[PATH_BYTES];
	int rc = 0;

	snprintf(f->dir, sizeof(f->dir), "%.40s/pane-bench.XXXXXX", tmp != NULL ? tmp : "/tmp");
	if (mkdtemp(f->dir) == NULL) {
		rc = err_set(err, errno, "%s: %s", f->dir, strerror(errno));
		f->dir[0] = '\0';
		return rc;
	}
	snprintf(prefix, sizeof(prefix), "%s/", f->dir);
	rc = write_flows(f, prefix, err);
	for (int i = 0; i < 2 && rc == 0; i++) {
		char device[PATH_BYTES];
		int len = snprintf(device, sizeof(device), "%s/%d.pcap,,infinite_rx=1", f->dir, i);

		// a queue for each worker, of the same frames
		for (uint32_t q = 1; q < n_workers(f->opts) && len < (int)sizeof(device); q++)
			len += snprintf(device + len, sizeof(device) - (size_t)len, ",rx_pcap=%s/%d.pcap", f->dir, i);
		if (len >= (int)sizeof(device))
			return err_set(err, EINVAL, "--cores: too many workers for ports of capture files");
		rc = add_port(f, err, "pcap:%s", device);
	}
	return rc;
}

// Before a device is made of it, whose driver says little.
static int check_capture(const char *path, struct err *err)
{
	static const uint32_t magics[] = {0xa1b2c3d4, 0xd4c3b2a1, 0xa1b23c4d, 0x4d3cb2a1, 0x0a0d0d0a};
	FILE *f = bench_open(path, err);
	uint32_t magic = 0;
	bool ok = false;

	if (f == NULL)
		return -err->code;
	if (fread(&magic, sizeof(magic), 1, f) == 1)
		for (size_t i = 0; i < sizeof(magics) / sizeof(magics[0]); i++)
			ok |= magic == magics[i];
	fclose(f);
	return ok ? 0 : err_set(err, EINVAL, "%s: not a capture file (pcap or pcapng)", path);
}

static int choose_ports(struct forward *f, struct err *err)
{
	const struct bench_opts *o = f->opts;
	int rc = 0;

	if (o->ports != NULL) {
		f->ports = strdup(o->ports);
		if (f->ports == NULL)
			return err_set(err, ENOMEM, "no memory for ports");
		for (char *at = f->ports, *device; rc == 0 && (device = strsep(&at, " ")) != NULL;) {
			if (*device != '\0')
				rc = add_port(f, err, "%s", device);
		}
	} else if (o->packets != NULL) {
		rc = check_capture(o->packets, err);
		if (rc == 0)
			rc = add_port(f, err, "pcap:%s,,infinite_rx=1", o->packets);
		if (rc == 0)
			rc = add_port(f, err, "null:%s", "");
	} else {
		rc = own_ports(f, err);
	}
	return rc;
}

// --- figures

struct runs {
	double *mpps, *gbps, *ns, *cycles, *wall_mpps, *cpu_s;
	uint32_t n;
};

// Rates by CPU time are those of workers that have a core each.
static void note_run(struct runs *r, const struct forward_figures *a, const struct forward_figures *b, uint32_t workers)
{
	double packets = (double)(b->counters[COUNTER_rx_packets] - a->counters[COUNTER_rx_packets]);
	double bytes = (double)(b->counters[COUNTER_rx_bytes] - a->counters[COUNTER_rx_bytes]);
	double cpu = (double)(b->cpu_ns - a->cpu_ns), wall = (double)(b->wall_ns - a->wall_ns);
	uint32_t i = r->n++;

	if (cpu <= 0)
		cpu = wall * workers;
	r->mpps[i] = packets / cpu * workers * 1e3;
	r->gbps[i] = (bytes + packets * FCS_BYTES) * 8 / cpu * workers;
	r->ns[i] = packets > 0 ? cpu / packets : 0;
	r->cycles[i] = r->ns[i] * forward_net_tsc_hz() / 1e9;
	r->wall_mpps[i] = packets / wall * 1e3;
	r->cpu_s[i] = cpu / 1e9;
}

static json_t *drops_of(const struct forward_figures *last)
{
	json_t *drops = json_object();

	for (int c = 0; c < COUNTER_N; c++) {
		if (counter_desc[c].kind != COUNTER_KIND_INFO && last->counters[c] > 0)
			json_object_set_new(drops, counter_desc[c].name, json_integer((json_int_t)last->counters[c]));
	}
	return drops;
}

static void pause_ms(uint64_t ms)
{
	struct timespec ts = {.tv_sec = (time_t)(ms / 1000), .tv_nsec = (long)(ms % 1000) * 1000000};

	nanosleep(&ts, NULL);
}

// Of the turns that were timed; a turn that the system interrupted counts as it was.
static json_t *phases_of(const struct worker_phases *p, double per_tick)
{
	json_t *out = json_object();

	for (int i = 0; i < WORKER_PHASES && p->packets > 0; i++)
		json_object_set_new(out, worker_phase_name[i],
				    json_real((double)p->ticks[i] / (double)p->packets * per_tick));
	return out;
}

// Of the worker that had least; by the clock where none can be asked.
static double least_cpu_s(const struct forward_figures *from, const struct forward_figures *to)
{
	uint64_t least = to->wall_ns - from->wall_ns;

	for (uint32_t i = 0; i < WORKERS_MAX; i++) {
		if (to->worker_cpu_ns[i] != 0)
			least = RTE_MIN(least, to->worker_cpu_ns[i] - from->worker_cpu_ns[i]);
	}
	return (double)least / 1e9;
}

// Until each worker's thread, which never rests, had its core for so long: by the clock alone, a run among other work
// might be over before it had begun. *to is what is then; from where the time counts: from.
static int run_for(const struct forward_net *net, double seconds, const struct forward_figures *from,
		   struct forward_figures *to, struct err *err)
{
	double cpu = 0, wall = 0;

	pause_ms((uint64_t)(seconds * 1000));
	for (;;) {
		forward_net_read(net, to);
		wall = (double)(to->wall_ns - from->wall_ns) / 1e9;
		cpu = least_cpu_s(from, to);
		if (cpu >= seconds)
			return 0;
		if (wall > STARVED_S * (1 + seconds))
			return err_set(err, ETIME,
				       "a worker had its core for %.3f of %.0f s, %.3f were asked for: "
				       "other work has it",
				       cpu, wall, seconds);
		pause_ms(STEP_MS);
	}
}

static int run_all(const struct forward *f, const struct forward_net *net, struct runs *r, struct forward_figures *last,
		   struct err *err)
{
	struct forward_figures from;
	int rc;

	forward_net_read(net, &from);
	rc = run_for(net, SETTLE_S, &from, last, err);
	for (uint32_t i = 0; i < f->opts->repeat && rc == 0; i++) {
		from = *last;
		bench_progress("run", i + 1, f->opts->repeat);
		rc = run_for(net, f->opts->seconds, &from, last, err);
		if (rc == 0)
			note_run(r, &from, last, n_workers(f->opts));
	}
	return rc;
}

static json_t *measure(const struct forward *f, const struct forward_net *net, struct runs *r, struct err *err)
{
	struct forward_figures b;
	json_t *out;

	if (run_all(f, net, r, &b, err) < 0)
		return NULL;
	out = json_object();
	bench_spread(out, "mpps", r->mpps, r->n);
	bench_spread(out, "gbps", r->gbps, r->n);
	bench_spread(out, "ns_per_packet", r->ns, r->n);
	bench_spread(out, "cycles_per_packet", r->cycles, r->n);
	bench_spread(out, "wall_mpps", r->wall_mpps, r->n);
	bench_spread(out, "cpu_s", r->cpu_s, r->n);
	json_object_set_new(out, "cycles_by_phase", phases_of(&b.phases, 1));
	json_object_set_new(out, "ns_by_phase", phases_of(&b.phases, 1e9 / forward_net_tsc_hz()));
	json_object_set_new(out, "workers", json_integer(n_workers(f->opts)));
	json_object_set_new(out, "rules", json_integer(f->rules.n));
	json_object_set_new(out, "flows", json_integer(f->flows.n));
	json_object_set_new(out, "rx_packets", json_integer((json_int_t)b.counters[COUNTER_rx_packets]));
	json_object_set_new(out, "tx_packets", json_integer((json_int_t)b.counters[COUNTER_tx_packets]));
	json_object_set_new(out, "drops", drops_of(&b));
	return out;
}

// In some category by the first rule there.
static bool is_denied(const struct forward *f, const struct flow *flow)
{
	bool denied = false;

	for (uint32_t c = 0; c < f->policy.categories && !denied; c++) {
		int64_t rule = rules_find(&f->rules, flow, c, f->policy.categories);

		denied = rule >= 0 && forward_denies(&f->policy, (uint32_t)rule);
	}
	return denied;
}

// Of the first n frames of the side that are denied, as a linear scan has it; the ports yield the flows in order, again
// and again.
static uint64_t denied_of(const struct forward *f, uint32_t side, uint64_t n)
{
	uint32_t n_flows = flows_n_of_side(&f->flows, side);
	uint64_t denied = 0;

	for (uint32_t i = 0; i < n_flows; i++) {
		if (is_denied(f, flows_of_side(&f->flows, side, i)))
			denied += n / n_flows + (i < n % n_flows);
	}
	return denied;
}

// Frames denied that should not be, or the other way round.
static uint64_t check(const struct forward *f, const struct forward_net *net)
{
	uint64_t wrong = 0;

	for (uint16_t p = 0; p < f->n_ports; p++) {
		uint64_t right = denied_of(f, p, forward_net_counter(net, p, COUNTER_rx_packets));
		uint64_t was = forward_net_counter(net, p, COUNTER_denied);

		wrong += was > right ? was - right : right - was;
	}
	return wrong;
}

static json_t *run(const struct forward *f, struct err *err)
{
	const struct bench_opts *o = f->opts;
	char prefix[32];
	struct dp_conf conf = {.ports = f->port,
			       .n_ports = f->n_ports,
			       .mac_ageing_s = 300,
			       .memory_mb = o->memory_mb,
			       .huge_pages = o->huge,
			       .held_buffers = f->n_held,
			       .mtu = 1500,
			       .simd_max_bits = 512,
			       .poll_always = true,
			       .lcores = o->cores,
			       .file_prefix = prefix};
	struct forward_net *net;
	struct runs runs = {0};
	double *values = calloc(6 * (size_t)o->repeat, sizeof(*values));
	json_t *out = NULL;

	snprintf(prefix, sizeof(prefix), "pane-bench-%d", (int)getpid());
	if (values == NULL) {
		err_set(err, ENOMEM, "no memory for figures");
		return NULL;
	}
	runs.mpps = values;
	runs.gbps = values + o->repeat;
	runs.ns = values + 2 * o->repeat;
	runs.cycles = values + 3 * o->repeat;
	runs.wall_mpps = values + 4 * o->repeat;
	runs.cpu_s = values + 5 * o->repeat;
	net = forward_net_open(&conf, &f->rules, &f->policy, err);
	if (net != NULL)
		out = measure(f, net, &runs, err);
	if (out != NULL && o->check && f->dir[0] != '\0') {
		forward_net_stop(net);
		json_object_set_new(out, "mismatches", json_integer((json_int_t)check(f, net)));
	}
	forward_net_close(net);
	free(values);
	return out;
}

json_t *bench_forward(const struct bench_opts *opts, struct err *err)
{
	struct forward f = {.opts = opts, .policy = {opts->deny_every, opts->categories, opts->limits}};
	json_t *out = NULL;
	int rc = opts->check && n_workers(opts) > 1 ? err_set(err, EINVAL, "--check: with one worker") : 0;

	if (rc == 0 && opts->rules != NULL)
		rc = rules_load(opts->rules, opts->seed, &f.rules, err);
	if (rc == 0 && opts->packets == NULL)
		rc = make_flows(&f, err);
	if (rc == 0 && opts->write != NULL) {
		rc = write_flows(&f, opts->write, err);
		if (rc == 0 && opts->rules != NULL)
			rc = write_rules(&f, opts->write, err);
		if (rc == 0)
			out = json_pack("{s:i}", "flows", (int)f.flows.n);
	} else if (rc == 0) {
		rc = choose_ports(&f, err);
		if (rc == 0)
			out = run(&f, err);
	}
	forward_free(&f);
	return out;
}
