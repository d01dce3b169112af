// SPDX-License-Identifier: Apache-2.0
// pane-zk-write: a ZooKeeper client that writes one small value after the other and prints what each write took.
// Lines: seconds since the epoch at the write's start, milliseconds until its acknowledgement (-1: it failed).
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <zookeeper/zookeeper.h>

enum { SESSION_MS = 30000, CONNECT_S = 30, VALUE_BYTES = 128 };

static volatile sig_atomic_t stop, connected;

static void on_signal(int sig)
{
	stop = 1;
}

static void on_event(zhandle_t *zh, int type, int state, const char *path, void *context)
{
	connected = state == ZOO_CONNECTED_STATE;
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static void nap_ms(double ms)
{
	struct timespec ts = {.tv_sec = (time_t)(ms / 1e3)};

	ts.tv_nsec = (long)((ms / 1e3 - (double)ts.tv_sec) * 1e9);
	nanosleep(&ts, NULL);
}

int main(int argc, char **argv)
{
	struct sigaction sa = {.sa_handler = on_signal};
	char value[VALUE_BYTES];
	zhandle_t *zh;
	double gap_ms;
	int rc;

	if (argc != 4) {
		fprintf(stderr, "usage: pane-zk-write ADDRESS:PORT PATH MILLISECONDS-BETWEEN\n");
		return 2;
	}
	gap_ms = strtod(argv[3], NULL);
	sigaction(SIGTERM, &sa, NULL);
	sigaction(SIGINT, &sa, NULL);
	setvbuf(stdout, NULL, _IOLBF, 0);
	memset(value, 'x', sizeof(value));
	zoo_set_debug_level(ZOO_LOG_LEVEL_ERROR);
	zh = zookeeper_init(argv[1], on_event, SESSION_MS, NULL, NULL, 0);
	for (int i = 0; zh != NULL && !connected && !stop && i < CONNECT_S * 20; i++)
		nap_ms(50);
	if (zh == NULL || !connected) {
		fprintf(stderr, "pane-zk-write: no session with %s\n", argv[1]);
		return 1;
	}
	rc = zoo_create(zh, argv[2], value, sizeof(value), &ZOO_OPEN_ACL_UNSAFE, 0, NULL, 0);
	if (rc != ZOK && rc != ZNODEEXISTS) {
		fprintf(stderr, "pane-zk-write: %s: %s\n", argv[2], zerror(rc));
		zookeeper_close(zh);
		return 1;
	}
	while (!stop) {
		double begin = now(), took;

		rc = zoo_set(zh, argv[2], value, sizeof(value), -1);
		took = (now() - begin) * 1e3;
		printf("%.3f %.3f\n", begin, rc == ZOK ? took : -1.0);
		nap_ms(took < gap_ms ? gap_ms - took : 0);
	}
	zookeeper_close(zh);
	return 0;
}
