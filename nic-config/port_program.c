// SPDX-License-Identifier: Apache-2.0
#include "port_program.h"

#include <errno.h>
#include <linux/if_link.h>
#include <string.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <rte_config.h>

static struct program {
	uint32_t id; // 0: none
	int fd;      // keeps it, and its maps with the sockets in them, when it is taken off
	int if_index;
	uint32_t mode; // XDP_FLAGS_*_MODE
} programs[RTE_MAX_ETHPORTS];

void port_program_note(uint16_t port_id, int if_index)
{
	LIBBPF_OPTS(bpf_xdp_query_opts, at);
	struct program *p = &programs[port_id];

	port_program_forget(port_id);
	if (bpf_xdp_query(if_index, 0, &at) < 0 || at.prog_id == 0)
		return;
	*p = (struct program){.id = at.prog_id, .fd = bpf_prog_get_fd_by_id(at.prog_id), .if_index = if_index};
	p->mode = at.attach_mode == XDP_ATTACHED_DRV   ? XDP_FLAGS_DRV_MODE
		  : at.attach_mode == XDP_ATTACHED_SKB ? XDP_FLAGS_SKB_MODE
						       : 0;
	if (p->fd < 0)
		p->id = 0;
}

static int replaced(uint32_t id, char why[WHY_BYTES])
{
	struct bpf_prog_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_prog_get_fd_by_id(id);

	if (fd >= 0) {
		bpf_obj_get_info_by_fd(fd, &info, &len);
		close(fd);
	}
	return why_fail(why, EBUSY,
			"the XDP program \"%.16s\" is on it instead of the switch's: nothing is received; taken off, "
			"the switch's is put back",
			info.name);
}

int port_program_keep(uint16_t port_id, char why[WHY_BYTES])
{
	const struct program *p = &programs[port_id];
	uint32_t id = 0;
	int rc;

	if (p->id == 0 || bpf_xdp_query_id(p->if_index, 0, &id) < 0 || id == p->id)
		return 0;
	if (id != 0)
		return replaced(id, why);
	rc = bpf_xdp_attach(p->if_index, p->fd, XDP_FLAGS_UPDATE_IF_NOEXIST | p->mode, NULL);
	if (rc < 0)
		return why_fail(why, -rc, "its XDP program was taken off and cannot be put back: %s", strerror(-rc));
	why_fail(why, 0, "its XDP program was taken off; it was put back");
	return 1;
}

void port_program_forget(uint16_t port_id)
{
	if (programs[port_id].id != 0)
		close(programs[port_id].fd);
	programs[port_id].id = 0;
}
