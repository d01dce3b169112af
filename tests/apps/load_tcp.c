// SPDX-License-Identifier: Apache-2.0
// pane-load sink and send. The flows of one send to one address take what is left from a common pool, as reducers fetch
// map outputs by a few parallel copies: a job ends when its bytes have arrived, not when its unluckiest flow has caught
// up.
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "load.h"

enum { EVENTS = 64, CHUNK = 16384, MAX_FLOWS = 1024, MAX_ADDRESSES = 16 };

static char buffer[65536];

static int fail(const char *what)
{
	fprintf(stderr, "pane-load: %s: %s\n", what, strerror(errno));
	return -1;
}

static int watch_fd(int poll, int fd, uint32_t events, uint64_t data)
{
	struct epoll_event ev = {.events = events, .data.u64 = data};

	return epoll_ctl(poll, EPOLL_CTL_ADD, fd, &ev);
}

static int sink_socket(int type, uint16_t port)
{
	struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), one = 1;

	if (fd < 0)
		return fail("socket");
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || (type == SOCK_STREAM && listen(fd, 1024) < 0)) {
		close(fd);
		return fail("sink");
	}
	return fd;
}

// Reads what one descriptor has; closing our side of a finished flow tells its sender that all has arrived.
static void sink_read(int poll, int listener, int udp, int fd, struct load_series *series)
{
	ssize_t n;

	if (fd == listener) {
		int flow = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		if (flow >= 0 && watch_fd(poll, flow, EPOLLIN, (uint64_t)flow) < 0)
			close(flow);
		return;
	}
	n = read(fd, buffer, sizeof(buffer));
	if (n > 0)
		series->bytes += (uint64_t)n;
	else if (fd != udp && (n == 0 || (errno != EAGAIN && errno != EINTR)))
		close(fd);
}

int load_sink(const struct load_opts *opts)
{
	int listener = sink_socket(SOCK_STREAM, opts->port), udp = sink_socket(SOCK_DGRAM, opts->port);
	int poll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event events[EVENTS];
	struct load_series series;
	double begin = load_now();

	if (listener < 0 || udp < 0 || poll < 0)
		return -1; // the process ends
	if (watch_fd(poll, listener, EPOLLIN, (uint64_t)listener) < 0 ||
	    watch_fd(poll, udp, EPOLLIN, (uint64_t)udp) < 0)
		return fail("epoll");
	load_series_start(&series, opts->step_ms);
	while (load_going(opts, begin)) {
		double wait = series.next - load_now();
		int n = epoll_wait(poll, events, EVENTS, wait > 0 ? (int)(wait * 1e3) + 1 : 0);

		for (int i = 0; i < n; i++)
			sink_read(poll, listener, udp, (int)events[i].data.u64, &series);
		load_series_run(&series);
	}
	return 0;
}

struct pool {
	struct sockaddr_in to;
	uint64_t left; // bytes nobody has taken yet
};

struct flow {
	int fd;
	struct pool *pool;
	uint32_t taken; // of the pool, not yet sent
	bool closing;
};

// A flow's turn. Returns 0 while it goes on, 1 when its peer has everything, -1 if it broke.
static int flow_run(struct flow *f)
{
	ssize_t n;

	while (!f->closing) {
		if (f->taken == 0) {
			f->taken = f->pool->left < CHUNK ? (uint32_t)f->pool->left : CHUNK;
			f->pool->left -= f->taken;
		}
		if (f->taken == 0) {
			shutdown(f->fd, SHUT_WR);
			f->closing = true;
			break;
		}
		n = send(f->fd, buffer, f->taken, MSG_NOSIGNAL);
		if (n < 0)
			return errno == EAGAIN || errno == EINTR || errno == ENOTCONN ? 0 : -1;
		f->taken -= (uint32_t)n;
	}
	n = recv(f->fd, buffer + sizeof(buffer) / 2, sizeof(buffer) / 2, 0);
	if (n < 0)
		return errno == EAGAIN || errno == EINTR ? 0 : -1;
	return n == 0;
}

static int flow_open(struct flow *f, struct pool *pool)
{
	// what waits in a socket is not yet sent: keep it small, so that the pool is shared by what the flows achieve
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), low = CHUNK;

	if (fd < 0)
		return fail("socket");
	setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &low, sizeof(low));
	if (connect(fd, (struct sockaddr *)&pool->to, sizeof(pool->to)) < 0 && errno != EINPROGRESS)
		return fail("connect");
	*f = (struct flow){.fd = fd, .pool = pool};
	return 0;
}

// The addresses of a comma list, with an equal part of the bytes each. Returns their number, or -1.
static int pools_init(struct pool *pools, const struct load_opts *opts)
{
	char list[256], *save, *word;
	int n = 0;

	snprintf(list, sizeof(list), "%s", opts->target);
	for (word = strtok_r(list, ",", &save); word != NULL && n < MAX_ADDRESSES; word = strtok_r(NULL, ",", &save)) {
		pools[n].to = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = htons(opts->port)};
		if (inet_pton(AF_INET, word, &pools[n++].to.sin_addr) != 1) {
			fprintf(stderr, "pane-load send: %s: expected an IPv4 address\n", word);
			return -1;
		}
	}
	for (int i = 0; i < n; i++)
		pools[i].left = opts->bytes == 0 ? UINT64_MAX : opts->bytes / (uint64_t)n;
	return n;
}

int load_send(const struct load_opts *opts)
{
	struct pool pools[MAX_ADDRESSES];
	static struct flow flows[MAX_FLOWS];
	int poll = epoll_create1(EPOLL_CLOEXEC), n = pools_init(pools, opts);
	uint32_t open = 0, broken = 0;
	double begin = load_now();

	if (poll < 0 || n <= 0)
		return -1;
	for (uint32_t i = 0; i < opts->flows * (uint32_t)n && i < MAX_FLOWS; i++, open++) {
		if (flow_open(&flows[i], &pools[i % (uint32_t)n]) < 0 ||
		    watch_fd(poll, flows[i].fd, EPOLLIN | EPOLLOUT | EPOLLET, i) < 0)
			return -1;
	}
	while (open > 0 && load_going(opts, begin)) {
		struct epoll_event events[EVENTS];
		int ready = epoll_wait(poll, events, EVENTS, 100), rc;

		for (int i = 0; i < ready; i++) {
			struct flow *f = &flows[events[i].data.u64];

			if (f->fd < 0 || (rc = flow_run(f)) == 0)
				continue;
			if (rc < 0)
				broken++;
			close(f->fd);
			f->fd = -1;
			open--;
		}
	}
	printf("%s %.3f %.3f\n", open > 0 ? "stopped" : broken > 0 ? "broken" : "done", load_now(), load_now() - begin);
	return broken > 0 ? -1 : 0;
}
