// SPDX-License-Identifier: Apache-2.0
// What a bridge that learns knows: at which of its ports it saw an untagged address last. For following packets, not
// for sending them. No I/O. Owner: the caller. Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

struct of_bridge {
	struct of_bridge_entry {
		uint8_t mac[6];
		bool used;
		uint32_t port;
	} * slots;
	uint32_t n_slots, n; // a power of two; those in use, at most half of them
};

int of_bridge_init(struct of_bridge *b, uint32_t n_hosts); // room for so many at least. 0 or -ENOMEM
void of_bridge_fini(struct of_bridge *b);
void of_bridge_learn(struct of_bridge *b, const uint8_t mac[6], uint32_t port); // where there is room
bool of_bridge_find(const struct of_bridge *b, const uint8_t mac[6], uint32_t *port);
