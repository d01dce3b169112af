// SPDX-License-Identifier: Apache-2.0
// pane-load flood: datagrams of random sizes at an even pace, each to the next port. So queues by flow see as many
// flows as there are ports, and a queue that is full has no gap left that only a small packet fits. pane-load watch: an
// interface's own counter.
#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "load.h"

enum { FIRST_PORT = 10000, MIN_SIZE = 16, FRAME_EXTRA = 42 }; // Ethernet, IPv4 and UDP headers

static void nap(double s)
{
	struct timespec ts = {.tv_sec = (time_t)s};

	ts.tv_nsec = (long)((s - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

int load_flood(const struct load_opts *opts)
{
	struct sockaddr_in to = {.sin_family = AF_INET};
	double begin = load_now(), next = begin;
	char payload[1472] = {0};
	uint64_t sent = 0, bytes = 0;
	uint32_t random = 1;
	int fd;

	if (inet_pton(AF_INET, opts->target, &to.sin_addr) != 1) {
		fprintf(stderr, "pane-load flood: %s: expected an IPv4 address\n", opts->target);
		return -1;
	}
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		fprintf(stderr, "pane-load flood: socket: %s\n", strerror(errno));
		return -1;
	}
	while (load_going(opts, begin)) {
		double now = load_now();

		if (next < now - 0.02) // a busy machine held us up: no burst in its place
			next = now - 0.02;
		for (; next <= now; sent++) {
			uint32_t size = MIN_SIZE + (random >> 8) % (opts->size - MIN_SIZE + 1);

			random = random * 1664525 + 1013904223; // a linear congruence is random enough
			to.sin_port = htons((uint16_t)(FIRST_PORT + sent % opts->flows));
			sendto(fd, payload, size, 0, (struct sockaddr *)&to, sizeof(to));
			bytes += size + FRAME_EXTRA;
			next += (size + FRAME_EXTRA) * 8.0 / (double)opts->rate_bps;
		}
		nap(next - now > 0.001 ? next - now : 0.001);
	}
	printf("sent %" PRIu64 " datagrams, %" PRIu64 " bytes of frames\n", sent, bytes);
	close(fd);
	return 0;
}

// Received bytes so far, from /proc/net/dev; 0 if there is no such interface.
static uint64_t received(const char *interface)
{
	FILE *f = fopen("/proc/net/dev", "re");
	uint64_t bytes = 0;
	char line[512];

	while (f != NULL && fgets(line, sizeof(line), f) != NULL) {
		char *name = line + strspn(line, " "), *colon = strchr(name, ':');

		if (colon == NULL)
			continue;
		*colon = '\0';
		if (strcmp(name, interface) == 0)
			bytes = strtoull(colon + 1, NULL, 10);
	}
	if (f != NULL)
		fclose(f);
	return bytes;
}

int load_watch(const struct load_opts *opts)
{
	uint64_t last = received(opts->target), now;
	double begin = load_now();
	struct load_series series;

	load_series_start(&series, opts->step_ms);
	while (load_going(opts, begin)) {
		nap(series.next - load_now() > 0 ? series.next - load_now() + 0.0002 : 0.0002);
		now = received(opts->target);
		series.bytes += now - last;
		last = now;
		load_series_run(&series);
	}
	return 0;
}
