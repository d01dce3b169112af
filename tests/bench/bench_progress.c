// SPDX-License-Identifier: Apache-2.0
// How far a benchmark is, for who sits before it. A thread of its own writes it, so that what is measured is not asked;
// it does so only to a terminal, where figures that matter are not made.
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"

#define SILENT_S 2 // what is over by then says nothing

static struct {
	const char *command;
	pthread_t thread;
	bool runs;
	atomic_bool over;
	_Atomic(const char *) phase; // by the main thread
	atomic_uint at, of;
} progress;

static void show(unsigned int seconds)
{
	const char *phase = atomic_load(&progress.phase);
	unsigned int at = atomic_load(&progress.at), of = atomic_load(&progress.of);
	char line[160], count[32] = "";
	int n;

	if (of > 0)
		snprintf(count, sizeof(count), " %u of %u", at, of);
	n = snprintf(line, sizeof(line), "\r\033[Kpane-bench %s: %u s%s%s%s", progress.command, seconds,
		     phase == NULL ? "" : ", ", phase == NULL ? "" : phase, count);
	if (write(STDERR_FILENO, line, (size_t)n) < 0) // not stdio: a process that is forked may want its lock
		return;
}

static void *watch(void *arg)
{
	const struct timespec tenth = {0, 100000000};

	(void)arg;
	for (unsigned int tenths = 1; !atomic_load(&progress.over); tenths++) {
		nanosleep(&tenth, NULL);
		if (tenths % 10 == 0 && tenths / 10 >= SILENT_S)
			show(tenths / 10);
	}
	return NULL;
}

void bench_progress_start(const char *command)
{
	progress.command = command;
	progress.runs = isatty(STDERR_FILENO) && pthread_create(&progress.thread, NULL, watch, NULL) == 0;
}

void bench_progress(const char *phase, uint32_t at, uint32_t of)
{
	atomic_store(&progress.phase, phase);
	atomic_store(&progress.at, at);
	atomic_store(&progress.of, of);
}

void bench_progress_end(void)
{
	if (!progress.runs)
		return;
	atomic_store(&progress.over, true);
	pthread_join(progress.thread, NULL);
	progress.runs = false;
	if (write(STDERR_FILENO, "\r\033[K", 4) < 0)
		return;
}
