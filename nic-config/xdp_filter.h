// SPDX-License-Identifier: Apache-2.0
// The XDP program of an af_xdp port: what it drops in the driver. The switch denies the same by itself, so a rule that
// finds no place here costs cycles, never correctness (docs/decisions/0016).
// No policy. Owner: the caller. Thread: one at a time; packets flow meanwhile.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "drop_filter.h"
#include "port.h"

struct xdp_filter;

// A file with the program, for the driver to load: "/proc/self/fd/N". The caller closes *fd when the driver has it.
// 0 or -errno.
int xdp_program_file(char *path, uint32_t path_bytes, int *fd);
// Takes a program of ours off the interface that a killed switch left there. 0: also if there was none; -EBUSY:
// another's program is on it, named in why; else -errno.
int xdp_program_clear(const char *interface, char why[PORT_ERR_MAX]);

// Finds the program that the driver has attached to the interface, and its maps: they start empty. 0; -ENOENT: no
// program of ours is there; -ENOMEM; else -errno; with the reason in why.
int xdp_filter_open(const char *interface, struct xdp_filter **out, char why[PORT_ERR_MAX]);
struct drop_filter *xdp_filter_base(struct xdp_filter *f);
void xdp_filter_close(struct xdp_filter *f); // the program stays, and so do its rules
// Drops what the rule says from now on. An equal rule may be added several times. 0; -ENOSPC: no room (rules or
// templates), nothing has changed; -EINVAL: no such kind, or fields that are not named are not zero; -ENOMEM; else
// -errno of the kernel.
int xdp_filter_add(struct xdp_filter *f, const struct xdp_rule *rule);
// Undoes one xdp_filter_add: when it was the last of this rule, later frames pass. 0; -ENOENT; else -errno of the
// kernel.
int xdp_filter_del(struct xdp_filter *f, const struct xdp_rule *rule);
// What the rule has dropped; a frame that several rules match counts for one of them. -ENOENT.
int xdp_filter_count(const struct xdp_filter *f, const struct xdp_rule *rule, struct xdp_count *out);
int xdp_filter_total(const struct xdp_filter *f, struct xdp_count *out);    // all frames that rules dropped
int xdp_filter_unserved(const struct xdp_filter *f, struct xdp_count *out); // all that came by a queue without a socket
uint32_t xdp_filter_n_rules(const struct xdp_filter *f);
// The program on bytes, in the kernel, without a port (BPF_PROG_TEST_RUN; for tests): true when it drops them.
// -errno.
int xdp_filter_try(const struct xdp_filter *f, const void *frame, uint32_t len_bytes);
