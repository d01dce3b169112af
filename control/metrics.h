// SPDX-License-Identifier: Apache-2.0
// The controller's and the dataplane's figures as text for Prometheus (exposition format 0.0.4): ports, drops by
// reason, time a packet takes by phase, buffers, requests, rows, the link. A value; no sockets. Thread: control only.
#pragma once
#include <stddef.h>
#include <stdint.h>

struct dp_link;
struct engine;
struct nib;
struct of_policy_proof;
struct realize;

struct metrics_source { // pointers: borrowed
	const struct nib *nib;
	const struct engine *engine;
	const struct dp_link *link;
	const struct realize *realize;
	const struct of_policy_proof *openflow_proof; // NULL: no OpenFlow
	uint64_t n_turned_away;                       // connections for metrics
};

// malloc'ed text, its length in *len; NULL: out of memory.
char *metrics_text(const struct metrics_source *src, size_t *len);
