// SPDX-License-Identifier: Apache-2.0
// An idle worker sleeps in short steps at first, since traffic mostly comes back soon. Later it waits in the kernel for
// frames, or for whoever has something for it. Whoever puts something where a turn finds it, a snapshot, a frame, a
// change, calls worker_wake behind that; the worker says that it waits, and then looks once more.
#include <errno.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <rte_atomic.h>
#include <rte_rcu_qsbr.h>

#include "worker_priv.h"

#define IDLE_TURNS 200 // empty ones before the first sleep
#define SLEEP_NS 50000
#define WAKE_NS 20000    // a sleep may take so much longer than asked for; also the shortest worth taking
#define WAIT_NS 5000000  // at most: the clock is to be followed, classes and addresses age
#define SLEEPS_FIRST 400 // before the first wait: some 30 ms without a frame

int worker_wait_up(struct worker *w, struct err *err)
{
	w->wait.fd[0].fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->wait.fd[0].events = POLLIN;
	w->wait.n = 0;
	return w->wait.fd[0].fd < 0 ? err_set(err, errno, "worker: no eventfd: %s", strerror(errno)) : 0;
}

void worker_wait_down(struct worker *w)
{
	if (w->wait.fd[0].fd >= 0)
		close(w->wait.fd[0].fd);
}

void worker_wait_lay_out(struct worker *w)
{
	w->wait.n = 1;
	for (uint16_t i = 0; i < w->n_rx && w->wait.n > 0; i++) {
		const struct workers_port *conf = &w->all->conf[w->rx[i].port];
		int fd = w->rx[i].queue < conf->n_wait_fds ? conf->wait_fd[w->rx[i].queue] : -1;

		w->wait.fd[w->wait.n] = (struct pollfd){.fd = fd, .events = POLLIN};
		w->wait.n = fd < 0 ? 0 : (uint16_t)(w->wait.n + 1);
	}
}

void worker_wake(struct worker *w)
{
	const uint64_t one = 1;

	rte_smp_mb(); // what was put comes first
	if (likely(!atomic_load_explicit(&w->waits, memory_order_relaxed)))
		return;
	if (write(w->wait.fd[0].fd, &one, sizeof(one)) < 0)
		return; // it is full: it wakes up anyway
}

// Nanoseconds until a scheduler wants to send, most_ns at most.
static uint64_t quiet_ns(const struct worker *w, uint64_t now_tsc, uint64_t most_ns)
{
	uint64_t most = w->tsc_hz / MS_PER_S * most_ns / (NS_PER_S / MS_PER_S), least = most;

	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (w->port[i].sched != NULL)
			least = RTE_MIN(least, sched_next_tsc(w->port[i].sched, now_tsc));
	}
	return least == most ? most_ns : least * NS_PER_S / w->tsc_hz;
}

// A port that is down has an error until somebody asks for it.
static bool take_errors(struct worker *w)
{
	bool any = false;

	for (uint16_t i = 1; i < w->wait.n; i++) {
		int error;
		socklen_t len = sizeof(error);

		if ((w->wait.fd[i].revents & (POLLERR | POLLHUP | POLLNVAL)) == 0)
			continue;
		any = true;
		(void)getsockopt(w->wait.fd[i].fd, SOL_SOCKET, SO_ERROR, &error, &len);
	}
	return any;
}

static void sleep_ns(uint64_t ns)
{
	const struct timespec ts = {.tv_nsec = (long)ns};

	nanosleep(&ts, NULL);
}

// Away from the snapshot while asleep, so that nobody waits for this worker.
static void sleep_away(struct worker *w, uint64_t ns, bool for_frames)
{
	const struct timespec ts = {.tv_nsec = (long)ns};
	uint64_t times;

	rte_rcu_qsbr_thread_offline(w->slot->rcu, w->id);
	if (!for_frames) {
		sleep_ns(ns);
	} else {
		int n = ppoll(w->wait.fd, w->wait.n, &ts, NULL);
		bool woken = n > 0 && w->wait.fd[0].revents != 0;

		if (woken && read(w->wait.fd[0].fd, &times, sizeof(times)) < 0)
			woken = false; // somebody else's wake-up: none is left
		w->wait.readable = n > woken;
		if (n > 0 && take_errors(w))
			sleep_ns(SLEEP_NS);
	}
	rte_rcu_qsbr_thread_online(w->slot->rcu, w->id);
}

// How many frames a last look found.
static unsigned int wait_for_frames(struct worker *w)
{
	uint64_t now_tsc = rte_rdtsc(), ns;
	unsigned int n;

	atomic_store(&w->waits, true);
	rte_smp_mb();
	n = worker_turn(w, now_tsc);
	ns = quiet_ns(w, now_tsc, WAIT_NS);
	if (n == 0 && ns > WAKE_NS && !atomic_load(&w->all->hold) && !atomic_load(&w->all->stop))
		sleep_away(w, ns - WAKE_NS, true);
	atomic_store_explicit(&w->waits, false, memory_order_relaxed);
	return n;
}

unsigned int worker_idle(struct worker *w, uint64_t now_tsc, unsigned int idle)
{
	uint64_t ns;

	if (w->poll_always)
		return 0;
	if (idle >= IDLE_TURNS + SLEEPS_FIRST && w->wait.n > 0 && !w->wait.readable)
		return wait_for_frames(w) > 0 ? 0 : idle;
	w->wait.readable = false; // and yet the turn was empty: there was no buffer to receive into
	if (idle >= IDLE_TURNS && (ns = quiet_ns(w, now_tsc, SLEEP_NS + WAKE_NS)) >= 2 * WAKE_NS)
		sleep_away(w, ns - WAKE_NS, false);
	return idle < IDLE_TURNS + SLEEPS_FIRST ? idle + 1 : idle;
}
