// SPDX-License-Identifier: Apache-2.0
// What the schedulers of all ports tell of their classes (sched_next_told) -> QUEUES messages to the controller.
// Thread: the link thread, while the worker exists.
#pragma once

struct dp;
struct link;

// Tells all that has come since the last call; dropped when there is no session.
void dp_queues_tell(const struct dp *dp, struct link *link);
