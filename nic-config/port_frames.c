// SPDX-License-Identifier: Apache-2.0
#include "port_frames.h"

#include <errno.h>
#include <linux/bpf.h>
#include <linux/if_link.h>
#include <net/if.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>

#include <rte_common.h>
#include <rte_config.h>

#include "interface.h"
#include "xdp_filter.h"

#ifndef BPF_F_XDP_HAS_FRAGS
#define BPF_F_XDP_HAS_FRAGS (1U << 5) // Linux 5.18
#endif

static int links[RTE_MAX_ETHPORTS]; // that keep programs there, descriptor + 1; 0: none

// A program that passes everything. With has_frags its interface may have any MTU.
static int load_pass(void)
{
	const struct bpf_insn pass[] = {
		{.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .imm = XDP_PASS},
		{.code = BPF_JMP | BPF_EXIT},
	};
	LIBBPF_OPTS(bpf_prog_load_opts, opts, .prog_flags = BPF_F_XDP_HAS_FRAGS);
	int fd = bpf_prog_load(BPF_PROG_TYPE_XDP, "pane_pass", "Apache-2.0", pass, RTE_DIM(pass), &opts);

	if (fd >= 0)
		return fd;
	opts.prog_flags = 0;
	return bpf_prog_load(BPF_PROG_TYPE_XDP, "pane_pass", "Apache-2.0", pass, RTE_DIM(pass), &opts);
}

// The descriptor of what keeps it there, or -errno.
static int attach_pass(int if_index)
{
	LIBBPF_OPTS(bpf_link_create_opts, opts, .flags = XDP_FLAGS_DRV_MODE);
	int fd = load_pass(), link;

	if (fd < 0)
		return fd;
	link = bpf_link_create(fd, if_index, BPF_XDP, &opts);
	close(fd);
	return link;
}

int port_frames_cut(uint16_t port_id, const char *interface, char why[WHY_BYTES])
{
	char ignored[WHY_BYTES];
	int link;

	interface_no_merging(interface);
	if (!interface_is_veth(interface))
		return 0;
	xdp_program_clear(interface, ignored); // of an af_xdp port that was killed
	link = attach_pass((int)if_nametoindex(interface));
	if (link < 0)
		return why_fail(
			why, -link,
			"frames longer than the MTU may come from the other end of the veth %s, and are dropped: no "
			"XDP program can be put on it (%s); in that host: ethtool -K INTERFACE tso off gso off",
			interface, strerror(-link));
	links[port_id] = link + 1;
	interface_no_merging(interface); // the program has switched it on
	return 0;
}

void port_frames_forget(uint16_t port_id)
{
	if (links[port_id] != 0)
		close(links[port_id] - 1);
	links[port_id] = 0;
}
