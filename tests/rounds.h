// SPDX-License-Identifier: Apache-2.0
// What random tests take from the environment. Thread: any.
#pragma once
#include <stdint.h>
#include <stdlib.h>

// Where to start: PANE_SEED, else usual.
static inline uint64_t seed_from_env(uint64_t usual)
{
	const char *text = getenv("PANE_SEED");

	return text != NULL && *text != '\0' ? strtoull(text, NULL, 0) : usual;
}

// How long to go on: PANE_ROUNDS, else usual; with a sanitizer, which takes several times as long for each, a quarter
// of it: the plain build plays all of them.
static inline unsigned long rounds_from_env(unsigned long usual)
{
	const char *text = getenv("PANE_ROUNDS");

	if (text != NULL && *text != '\0')
		return strtoul(text, NULL, 0);
#ifdef __SANITIZE_ADDRESS__
	return usual < 50 ? usual : usual / 4;
#else
	return usual;
#endif
}
