// SPDX-License-Identifier: Apache-2.0
// The controller's OpenFlow side with its real sockets and engine, against switches played by a second process:
// packet-ins a second as cbench measures them, and how long a request takes until the last switch has answered the
// barrier behind its entries. Inside the testbed (TB_DIR) also flow mods to a real bridge: bench_flow_mods.c.
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "bench.h"
#include "control/engine.h"
#include "control/log.h"
#include "control/loop.h"
#include "control/of_server.h"
#include "tests/unit/openflow/played_switch.h"

#define CROWD 200      // switches
#define HOSTS_OF_ONE 4 // of a switch in the crowd
#define WINDOW 64      // packet-ins under way for a switch, and an echo behind them
#define REPORT_NS 20000000
#define SETTLE_NS 4000000000LL
#define LINE 20
#define REQUESTS 200
#define PATIENCE_NS 60000000000LL

// --- the other process

struct player {
	struct played played;
	int fd;
	struct players *all;
	uint8_t *out;
	size_t n_out, cap_out;
	uint32_t echoes; // answered
	uint8_t next_host;
};

struct players {
	struct player *p;
	uint32_t n;
	bool line; // port 2 of one goes to port 1 of the next
};

static void player_send(void *ctx, const uint8_t *bytes, size_t len)
{
	struct player *p = ctx;

	if (p->n_out + len > p->cap_out) {
		p->cap_out = (p->n_out + len) * 2;
		p->out = realloc(p->out, p->cap_out);
		if (p->out == NULL)
			_exit(2);
	}
	memcpy(p->out + p->n_out, bytes, len);
	p->n_out += len;
}

static void flush(struct player *p)
{
	size_t at = 0;

	while (at < p->n_out) {
		ssize_t n = send(p->fd, p->out + at, p->n_out - at, MSG_NOSIGNAL | MSG_DONTWAIT);

		if (n <= 0)
			break;
		at += (size_t)n;
	}
	memmove(p->out, p->out + at, p->n_out - at);
	p->n_out -= at;
}

static void arp_of(const struct player *p, uint8_t host, uint8_t frame[60])
{
	const uint8_t mac[6] = {2, 0, host, 0, (uint8_t)(p->played.dpid >> 8), (uint8_t)p->played.dpid};
	static const uint8_t head[] = {8, 6, 0, 1, 8, 0, 6, 4, 0, 1};

	memset(frame, 0, 60);
	memset(frame, 0xff, 6);
	memcpy(frame + 6, mac, 6);
	memcpy(frame + 12, head, sizeof(head));
	memcpy(frame + 22, mac, 6);
	frame[28] = 10;
	frame[29] = host;
	frame[30] = (uint8_t)(p->played.dpid >> 8);
	frame[31] = (uint8_t)p->played.dpid;
}

// Some packet-ins of known hosts, and an echo request, whose answer says that they have been dealt with.
static void push(struct player *p)
{
	struct of_msg echo = {.type = OF_ECHO_REQUEST, .xid = 7};
	uint8_t frame[60];

	for (int i = 0; i < WINDOW; i++) {
		p->next_host = (uint8_t)((p->next_host + 1) % HOSTS_OF_ONE);
		arp_of(p, p->next_host, frame);
		played_packet_in(&p->played, 3, frame, sizeof(frame));
	}
	played_send(&p->played, &echo);
}

static void carry_probes(struct players *all, uint32_t i, uint64_t *seen)
{
	struct played *p = &all->p[i].played;

	for (; *seen < p->n_probes; (*seen)++) {
		const struct played_probe *probe = &p->probes[*seen % PLAYED_PROBES];

		if (probe->port == 2 && i + 1 < all->n)
			played_packet_in(&all->p[i + 1].played, 1, probe->frame, probe->len);
		if (probe->port == 1 && i > 0)
			played_packet_in(&all->p[i - 1].played, 2, probe->frame, probe->len);
	}
}

// Echo replies are not told by the played switch: they are counted in what comes.
static uint32_t count_echoes(const uint8_t *bytes, size_t len, size_t *skip)
{
	uint32_t n = 0;

	while (*skip + 4 <= len) {
		size_t size = (size_t)bytes[*skip + 2] << 8 | bytes[*skip + 3];

		n += bytes[*skip + 1] == 3;
		*skip += size < 8 ? 8 : size;
	}
	return n;
}

static void hear(struct player *p)
{
	static uint8_t buf[1 << 16];
	size_t at = 0, n_had = p->played.n_in;
	ssize_t n = recv(p->fd, buf, sizeof(buf), MSG_DONTWAIT);

	if (n == 0)
		_exit(0); // the bench is over
	if (n < 0)
		return;
	if (n_had == 0)
		p->echoes += count_echoes(buf, (size_t)n, &at);
	if (!played_input(&p->played, buf, (size_t)n))
		_exit(3);
}

// A host on port 3 of each says who it is once ports have settled.
static void introduce(struct players *all)
{
	uint8_t frame[60];

	for (uint32_t i = 0; i < all->n; i++) {
		for (uint8_t h = 0; h < (all->line ? 1 : HOSTS_OF_ONE); h++) {
			arp_of(&all->p[i], h, frame);
			played_packet_in(&all->p[i].played, 3, frame, sizeof(frame));
		}
	}
}

struct count { // of packet-ins that were dealt with
	uint64_t n;
	int64_t at_ns;
};

// Tells the parent now and then.
static void report(struct players *all, int pipe, int64_t *next_ns)
{
	struct count c = {.at_ns = (int64_t)bench_now_ns()};

	if ((int64_t)bench_now_ns() < *next_ns)
		return;
	*next_ns = c.at_ns + REPORT_NS;
	for (uint32_t i = 0; i < all->n; i++)
		c.n += (uint64_t)all->p[i].echoes * WINDOW;
	if (write(pipe, &c, sizeof(c)) < 0)
		_exit(0);
}

static void play(struct players *all, uint16_t port, int pipe)
{
	struct sockaddr_in at = {
		.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
	struct pollfd *fds = calloc(all->n, sizeof(*fds));
	uint64_t *seen = calloc(all->n, sizeof(*seen));
	uint32_t *pushed = calloc(all->n, sizeof(*pushed));
	int64_t start = (int64_t)bench_now_ns(), next_report = 0;
	bool introduced = false;

	for (uint32_t i = 0; i < all->n; i++) {
		struct player *p = &all->p[i];

		played_init(&p->played, OF_VERSION_13, i + 1, 3);
		p->played.send = player_send;
		p->played.ctx = p;
		p->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		if (connect(p->fd, (const struct sockaddr *)&at, sizeof(at)) < 0)
			_exit(1);
		fds[i].fd = p->fd;
		played_hello(&p->played);
	}
	for (;;) {
		for (uint32_t i = 0; i < all->n; i++) {
			flush(&all->p[i]);
			fds[i].events = all->p[i].n_out > 0 ? POLLIN | POLLOUT : POLLIN;
		}
		if (poll(fds, all->n, 100) < 0)
			_exit(1);
		if (!introduced && (int64_t)bench_now_ns() > start + SETTLE_NS) {
			introduced = true;
			introduce(all);
		}
		for (uint32_t i = 0; i < all->n; i++) {
			struct player *p = &all->p[i];

			if (fds[i].revents & POLLIN)
				hear(p);
			if (all->line)
				carry_probes(all, i, &seen[i]);
			else if (introduced && p->echoes >= pushed[i] && p->n_out == 0) {
				pushed[i] = p->echoes + 1;
				push(p);
			}
		}
		report(all, pipe, &next_report);
	}
}

// --- this process

struct side {
	struct event_base *base;
	struct nib *nib;
	struct engine *engine;
	struct of_server *server;
	pid_t pid;
	int pipe; // reads from the other process
};

static int64_t turn(struct side *s, unsigned int wait_us)
{
	const struct timeval tv = {0, wait_us};

	if (wait_us > 0)
		event_base_loopexit(s->base, &tv);
	event_base_loop(s->base, wait_us > 0 ? EVLOOP_ONCE : EVLOOP_NONBLOCK);
	return of_server_turn(s->server, s->engine, loop_clock_ns());
}

static struct of_net_stats stats(const struct side *s)
{
	struct of_net_stats out;

	of_net_stats(of_server_net(s->server), &out);
	return out;
}

static void side_fini(struct side *s)
{
	if (s->pid > 0) {
		kill(s->pid, SIGKILL);
		waitpid(s->pid, NULL, 0);
		close(s->pipe);
	}
	of_server_destroy(s->server);
	engine_destroy(s->engine);
	nib_destroy(s->nib);
	if (s->base != NULL)
		event_base_free(s->base);
}

static void become_players(uint32_t n, bool line, uint16_t port, int pipe)
{
	struct players all = {.p = calloc(n, sizeof(struct player)), .n = n, .line = line};

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (all.p != NULL)
		play(&all, port, pipe);
	_exit(1);
}

static int side_init(struct side *s, uint32_t n, bool line, struct err *err)
{
	const struct engine_conf engine = {.offline = false};
	struct of_server_conf conf = {.listen = "127.0.0.1:0"};
	int fds[2];

	*s = (struct side){.base = event_base_new(), .nib = nib_create()};
	s->engine = engine_create(&engine, s->nib, loop_clock_ns());
	conf.nib = s->nib;
	log_init("bench", LOG_LEVEL_ERROR, loop_clock_ns);
	if (s->base == NULL || s->engine == NULL || pipe(fds) < 0)
		return err_set(err, ENOMEM, "out of memory");
	s->server = of_server_create(s->base, &conf, err);
	if (s->server == NULL)
		return -EIO;
	s->pid = fork();
	if (s->pid == 0)
		become_players(n, line, of_server_port(s->server, false), fds[1]);
	close(fds[1]);
	s->pipe = fds[0];
	return 0;
}

// Until all are up, linked, their hosts known, and the switches have what they should have for a while.
static int side_ready(struct side *s, uint32_t n, uint32_t n_links, uint32_t n_hosts, struct err *err)
{
	int64_t end = (int64_t)bench_now_ns() + PATIENCE_NS;
	struct of_net_stats now = {0};

	while ((int64_t)bench_now_ns() < end) {
		turn(s, 2000);
		now = stats(s);
		if (now.n_switches == n && now.n_links == n_links && now.n_hosts == n_hosts && now.n_synced == n)
			return 0;
	}
	return err_set(err, ETIMEDOUT, "%u of %u switches, %u of %u links, %u of %u hosts, %u up to date",
		       now.n_switches, n, now.n_links, n_links, now.n_hosts, n_hosts, now.n_synced);
}

// --- packet-ins

static struct count latest(const struct side *s, struct count before)
{
	struct pollfd p = {.fd = s->pipe, .events = POLLIN};

	while (poll(&p, 1, 0) > 0 && read(s->pipe, &before, sizeof(before)) == sizeof(before))
		;
	return before;
}

static int packet_ins(const struct bench_opts *opts, json_t *out, struct err *err)
{
	double *rate = calloc(opts->repeat, sizeof(*rate));
	struct side s;
	int rc = side_init(&s, CROWD, false, err);

	if (rc == 0)
		rc = side_ready(&s, CROWD, 0, CROWD * HOSTS_OF_ONE, err);
	for (uint32_t i = 0; i < opts->repeat && rc == 0; i++) {
		struct count first = latest(&s, (struct count){0}), last = first;

		bench_progress("packet-ins, run", i + 1, opts->repeat);
		while (first.at_ns == 0 || (double)(last.at_ns - first.at_ns) < opts->seconds * 1e9) {
			turn(&s, 1000);
			last = latest(&s, last);
			first = first.at_ns == 0 ? last : first;
		}
		rate[i] = (double)(last.n - first.n) * 1e9 / (double)(last.at_ns - first.at_ns);
	}
	if (rc == 0) {
		json_object_set_new(out, "switches", json_integer(CROWD));
		bench_spread(out, "packet_ins_per_s", rate, opts->repeat);
	}
	free(rate);
	side_fini(&s);
	return rc;
}

// --- from request to barrier

static int say(struct side *s, const char *text, struct err *err)
{
	const struct principal root = {.user = "root"};
	struct reply reply;
	int rc = 0;

	reply_init(&reply);
	engine_exec(s->engine, &root, text, strlen(text), loop_clock_ns(), &reply);
	if (reply.code != REPLY_OK)
		rc = err_set(err, EINVAL, "%s is refused: %s", text, reply_code_name(reply.code));
	reply_fini(&reply);
	return rc;
}

static int one_request(struct side *s, unsigned int i, double *ms, struct err *err)
{
	uint64_t before = stats(s).barriers;
	unsigned int a = i % LINE + 1, b = (i * 7 + 3) % LINE + 1;
	struct of_net_stats now;
	char text[160];
	int64_t start;

	snprintf(text, sizeof(text), "%s(srcHost=10.0.0.%u, dstHost=10.0.0.%u, dstPort=%u)%s on rootShare.",
		 i % 2 == 0 ? "deny" : "ratelimit", a, b == a ? b % LINE + 1 : b, 1000 + i, i % 2 == 0 ? "" : " = 5Mb");
	if (say(s, text, err) < 0)
		return -EINVAL;
	start = (int64_t)bench_now_ns();
	do {
		turn(s, 0);
		now = stats(s);
	} while ((now.barriers == before || now.barriers != now.barriers_answered) &&
		 (int64_t)bench_now_ns() < start + PATIENCE_NS);
	*ms = (double)((int64_t)bench_now_ns() - start) / 1e6;
	return now.barriers == before ? err_set(err, ETIMEDOUT, "no entry for %s", text) : 0;
}

static int requests(json_t *out, struct err *err)
{
	static double ms[REQUESTS];
	struct side s;
	int rc = side_init(&s, LINE, true, err);

	if (rc == 0)
		rc = side_ready(&s, LINE, 2 * (LINE - 1), LINE, err);
	for (int i = 0; i < 1000 && rc == 0; i++)
		turn(&s, 1000); // what settles has settled
	for (unsigned int i = 0; i < REQUESTS && rc == 0; i++) {
		rc = one_request(&s, i, &ms[i], err);
		turn(&s, 1000);
	}
	if (rc == 0) {
		json_object_set_new(out, "line", json_integer(LINE));
		json_object_set_new(out, "request_ms_p50", json_real(bench_quantile(ms, REQUESTS, 0.5)));
		json_object_set_new(out, "request_ms_p99", json_real(bench_quantile(ms, REQUESTS, 0.99)));
	}
	side_fini(&s);
	return rc;
}

json_t *bench_openflow(const struct bench_opts *opts, struct err *err)
{
	json_t *out = json_object();
	int rc = 0;

	if (getenv("TB_DIR") != NULL)
		rc = bench_flow_mods(opts, out, err);
	if (rc == 0)
		rc = packet_ins(opts, out, err);
	if (rc == 0)
		rc = requests(out, err);
	if (rc == 0)
		return out;
	json_decref(out);
	return NULL;
}
