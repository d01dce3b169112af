// SPDX-License-Identifier: Apache-2.0
// Captures: what the controller asks for -> the workers, and their copies -> the controller, up to the number of frames
// that was asked for. Thread: the link thread.
#pragma once
#include <stdint.h>

struct dp;

// Once a turn of the loop.
void dp_capture_turn(struct dp *dp);
#define DP_CAPTURE_POLL_NS INT64_C(2000000) // how often, at the least, while a capture is on
