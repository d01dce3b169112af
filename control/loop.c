// SPDX-License-Identifier: Apache-2.0
#include "loop.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#define WAIT_MAX_NS 1000000000LL // also notices a clock that was set

struct loop {
	struct event_base *base;
	struct event *timer, *term, *interrupt;
	bool stop;
	int status;
};

static void on_timer(evutil_socket_t fd, short what, void *ctx);
static void on_signal(evutil_socket_t sig, short what, void *ctx);
static void arm(struct loop *loop, int64_t now_ns, int64_t next_ns);

struct loop *loop_create(struct err *err)
{
	struct loop *loop = calloc(1, sizeof(*loop));

	if (loop == NULL || (loop->base = event_base_new()) == NULL ||
	    (loop->timer = evtimer_new(loop->base, on_timer, loop)) == NULL ||
	    (loop->term = evsignal_new(loop->base, SIGTERM, on_signal, loop)) == NULL ||
	    (loop->interrupt = evsignal_new(loop->base, SIGINT, on_signal, loop)) == NULL ||
	    evsignal_add(loop->term, NULL) < 0 || evsignal_add(loop->interrupt, NULL) < 0) {
		err_set(err, ENOMEM, "event loop: cannot start");
		loop_destroy(loop);
		return NULL;
	}
	return loop;
}

void loop_destroy(struct loop *loop)
{
	if (loop == NULL)
		return;
	if (loop->timer != NULL)
		event_free(loop->timer);
	if (loop->term != NULL)
		event_free(loop->term);
	if (loop->interrupt != NULL)
		event_free(loop->interrupt);
	if (loop->base != NULL)
		event_base_free(loop->base);
	free(loop);
}

struct event_base *loop_base(struct loop *loop)
{
	return loop->base;
}

int loop_run(struct loop *loop, loop_turn_fn turn, void *ctx)
{
	int64_t now_ns = loop_clock_ns();

	while (!loop->stop) {
		arm(loop, now_ns, turn(ctx, now_ns));
		if (loop->stop)
			break;
		if (event_base_loop(loop->base, EVLOOP_ONCE) < 0)
			return -EIO;
		now_ns = loop_clock_ns();
	}
	return loop->status;
}

void loop_stop(struct loop *loop, int status)
{
	loop->stop = true;
	loop->status = status;
}

int64_t loop_clock_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_REALTIME, &ts);
	// A clock may say the year 9999; nanoseconds end in 2262, and the last one means never.
	if (ts.tv_sec < 0 || ts.tv_sec >= INT64_MAX / 1000000000)
		return ts.tv_sec < 0 ? 0 : INT64_MAX - 1;
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

int64_t loop_uptime_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000LL + ts.tv_nsec;
}

// The wait is relative, so that a wall clock set meanwhile delays an instant by WAIT_MAX_NS at most.
static void arm(struct loop *loop, int64_t now_ns, int64_t next_ns)
{
	int64_t wait_ns = next_ns <= now_ns ? 0 : next_ns - now_ns;
	struct timeval tv;

	if (wait_ns > WAIT_MAX_NS)
		wait_ns = WAIT_MAX_NS;
	wait_ns += 999; // not a microsecond early
	tv = (struct timeval){wait_ns / 1000000000, wait_ns % 1000000000 / 1000};
	if (next_ns <= now_ns)
		tv = (struct timeval){0, 0};
	evtimer_add(loop->timer, &tv);
}

static void on_timer(evutil_socket_t fd, short what, void *ctx)
{
}

static void on_signal(evutil_socket_t sig, short what, void *ctx)
{
	loop_stop(ctx, 0);
}
