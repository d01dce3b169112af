// SPDX-License-Identifier: Apache-2.0
// The maps say what is dropped; beside them is only how often each rule was added.
#include "xdp_filter.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <rte_hash.h>
#include <rte_jhash.h>

#include "pane_xdp.skel.h"

#define PROGRAM_NAME "pane_xdp"
#define MAPS_MAX 16
#define N_KINDS (XDP_RULE_DST6 + 1)

struct xdp_filter {
	struct drop_filter base;
	int program, maps[N_KINDS], config, total;
	uint32_t n_prefixes, uses[XDP_TEMPLATES_MAX];
	struct xdp_config now; // what is in the map
	struct rte_hash *times;
};

static const char *const map_names[N_KINDS] = {"pane_exact", "pane_src4", "pane_dst4", "pane_src6", "pane_dst6"};

int xdp_program_file(char *path, uint32_t path_bytes, int *fd)
{
	size_t size;
	const void *elf = pane_xdp_bpf__elf_bytes(&size);
	int file = memfd_create(PROGRAM_NAME, MFD_CLOEXEC);

	if (file < 0)
		return -errno;
	if (write(file, elf, size) != (ssize_t)size) {
		close(file);
		return -EIO;
	}
	snprintf(path, path_bytes, "/proc/self/fd/%d", file);
	*fd = file;
	return 0;
}

// The program on the interface: an open descriptor, *ours tells whether it has our name. -ENOENT: none.
static int program_on(int if_index, bool *ours, char name[BPF_OBJ_NAME_LEN])
{
	struct bpf_prog_info info = {0};
	uint32_t id = 0, len = sizeof(info);
	int rc = bpf_xdp_query_id(if_index, 0, &id), fd;

	if (rc < 0)
		return rc;
	if (id == 0)
		return -ENOENT;
	fd = bpf_prog_get_fd_by_id(id);
	if (fd < 0)
		return -errno;
	if (bpf_obj_get_info_by_fd(fd, &info, &len) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	memcpy(name, info.name, BPF_OBJ_NAME_LEN);
	*ours = strncmp(info.name, PROGRAM_NAME, BPF_OBJ_NAME_LEN) == 0;
	return fd;
}

int xdp_program_clear(const char *interface, char why[PORT_ERR_MAX])
{
	char name[BPF_OBJ_NAME_LEN] = "";
	int if_index = (int)if_nametoindex(interface), rc;
	bool ours = false;

	if (if_index == 0)
		return why_fail(why, ENODEV, "interface %s: there is none of this name", interface);
	rc = program_on(if_index, &ours, name);
	if (rc == -ENOENT)
		return 0;
	if (rc < 0)
		return why_fail(why, -rc, "interface %s: its XDP program cannot be looked at: %s", interface,
				strerror(-rc));
	close(rc);
	if (!ours)
		return why_fail(why, EBUSY, "interface %s: the XDP program \"%s\" is on it; expected none", interface,
				name);
	rc = bpf_xdp_detach(if_index, 0, NULL);
	return rc < 0 ? why_fail(why, -rc, "interface %s: the XDP program of an earlier run cannot be taken off: %s",
				 interface, strerror(-rc))
		      : 0;
}

// Where the descriptor of the map of this name goes; NULL: none of ours.
static int *map_place(struct xdp_filter *f, const char *name)
{
	for (int kind = 0; kind < N_KINDS; kind++) {
		if (strcmp(name, map_names[kind]) == 0)
			return &f->maps[kind];
	}
	if (strcmp(name, "pane_config") == 0)
		return &f->config;
	return strcmp(name, "pane_total") == 0 ? &f->total : NULL;
}

static int take_map(struct xdp_filter *f, uint32_t id)
{
	struct bpf_map_info info = {0};
	uint32_t len = sizeof(info);
	int fd = bpf_map_get_fd_by_id(id), *place;

	if (fd < 0)
		return -errno;
	place = bpf_obj_get_info_by_fd(fd, &info, &len) == 0 ? map_place(f, info.name) : NULL;
	if (place == NULL || *place >= 0)
		close(fd);
	else
		*place = fd;
	return 0;
}

static int take_maps(struct xdp_filter *f)
{
	uint32_t ids[MAPS_MAX], len = sizeof(struct bpf_prog_info);
	struct bpf_prog_info info = {.nr_map_ids = MAPS_MAX, .map_ids = (uintptr_t)ids};
	int rc = bpf_obj_get_info_by_fd(f->program, &info, &len) < 0 ? -errno : 0;

	for (uint32_t i = 0; rc == 0 && i < info.nr_map_ids && i < MAPS_MAX; i++)
		rc = take_map(f, ids[i]);
	for (int kind = 0; rc == 0 && kind < N_KINDS; kind++)
		rc = f->maps[kind] < 0 ? -ENOENT : 0;
	return rc == 0 && (f->config < 0 || f->total < 0) ? -ENOENT : rc;
}

static struct rte_hash *times_create(const void *owner)
{
	char name[RTE_HASH_NAMESIZE];
	struct rte_hash_parameters params = {
		.name = name,
		.entries = N_KINDS * XDP_RULES_MAX,
		.key_len = sizeof(struct xdp_rule),
		.hash_func = rte_jhash,
		.socket_id = SOCKET_ID_ANY,
		.extra_flag = RTE_HASH_EXTRA_FLAGS_EXT_TABLE,
	};

	snprintf(name, sizeof(name), "xdp_%p", owner);
	return rte_hash_create(&params);
}

static int add(struct drop_filter *f, const struct xdp_rule *rule)
{
	return xdp_filter_add((struct xdp_filter *)f, rule);
}

static int del(struct drop_filter *f, const struct xdp_rule *rule)
{
	return xdp_filter_del((struct xdp_filter *)f, rule);
}

static int count(struct drop_filter *f, const struct xdp_rule *rule, struct xdp_count *out)
{
	return xdp_filter_count((const struct xdp_filter *)f, rule, out);
}

static int total(struct drop_filter *f, struct xdp_count *out)
{
	return xdp_filter_total((const struct xdp_filter *)f, out);
}

static int unserved(struct drop_filter *f, struct xdp_count *out)
{
	return xdp_filter_unserved((const struct xdp_filter *)f, out);
}

static void close_filter(struct drop_filter *f)
{
	xdp_filter_close((struct xdp_filter *)f);
}

static const struct drop_filter_ops xdp_ops = {
	.add = add, .del = del, .count = count, .total = total, .unserved = unserved, .close = close_filter};

struct drop_filter *xdp_filter_base(struct xdp_filter *f)
{
	return &f->base;
}

int xdp_filter_open(const char *interface, struct xdp_filter **out, char why[PORT_ERR_MAX])
{
	struct xdp_filter *f = malloc(sizeof(*f));
	char name[BPF_OBJ_NAME_LEN] = "";
	bool ours = false;
	int rc;

	if (f == NULL)
		return why_fail(why, ENOMEM, "interface %s: out of memory", interface);
	memset(f, 0, sizeof(*f));
	f->base.ops = &xdp_ops;
	memset(f->maps, 0xff, sizeof(f->maps));
	f->config = f->total = -1;
	f->program = program_on((int)if_nametoindex(interface), &ours, name);
	rc = f->program < 0 ? f->program : ours ? take_maps(f) : -ENOENT;
	if (rc == 0)
		f->times = times_create(f);
	if (rc == 0 && f->times == NULL)
		rc = -ENOMEM;
	if (rc < 0) {
		xdp_filter_close(f);
		return why_fail(why, -rc, "interface %s: no XDP program of the switch: %s", interface, strerror(-rc));
	}
	*out = f;
	return 0;
}

static void close_fd(int fd)
{
	if (fd >= 0)
		close(fd);
}

void xdp_filter_close(struct xdp_filter *f)
{
	if (f == NULL)
		return;
	close_fd(f->program);
	for (int kind = 0; kind < N_KINDS; kind++)
		close_fd(f->maps[kind]);
	close_fd(f->config);
	close_fd(f->total);
	rte_hash_free(f->times);
	free(f);
}

static int put_config(struct xdp_filter *f, const struct xdp_config *config)
{
	uint32_t zero = 0;

	if (memcmp(config, &f->now, sizeof(*config)) == 0)
		return 0;
	if (bpf_map_update_elem(f->config, &zero, config, BPF_ANY) < 0)
		return -errno;
	f->now = *config;
	return 0;
}

// Its place among the templates, or -1.
static int template_find(const struct xdp_filter *f, uint8_t fields)
{
	for (uint32_t i = 0; i < f->now.n_templates; i++) {
		if (f->now.templates[i] == fields)
			return (int)i;
	}
	return -1;
}

static int use_begin(struct xdp_filter *f, const struct xdp_rule *rule)
{
	struct xdp_config config = f->now;
	int at, rc;

	if (rule->kind != XDP_RULE_EXACT) {
		config.flags |= XDP_CONFIG_PREFIXES;
		rc = put_config(f, &config);
		f->n_prefixes += rc == 0;
		return rc;
	}
	at = template_find(f, rule->exact.fields);
	if (at < 0) {
		if (config.n_templates == XDP_TEMPLATES_MAX)
			return -ENOSPC;
		at = (int)config.n_templates++;
		config.templates[at] = rule->exact.fields;
		rc = put_config(f, &config);
		if (rc < 0)
			return rc;
		f->uses[at] = 0;
	}
	f->uses[at]++;
	return 0;
}

// A template more than needed costs a lookup, nothing else: so what the kernel refuses here is no error.
static void use_end(struct xdp_filter *f, const struct xdp_rule *rule)
{
	struct xdp_config config = f->now;
	int at;

	if (rule->kind != XDP_RULE_EXACT) {
		if (--f->n_prefixes == 0)
			config.flags &= ~(uint32_t)XDP_CONFIG_PREFIXES;
		put_config(f, &config);
		return;
	}
	at = template_find(f, rule->exact.fields);
	if (at < 0 || --f->uses[at] > 0)
		return;
	config.n_templates--;
	config.templates[at] = config.templates[config.n_templates];
	config.templates[config.n_templates] = 0;
	if (put_config(f, &config) == 0)
		f->uses[at] = f->uses[config.n_templates];
}

static const void *rule_key(const struct xdp_rule *rule)
{
	return &rule->exact; // of the union
}

static uintptr_t times_get(const struct xdp_filter *f, const struct xdp_rule *plain)
{
	void *data = NULL;

	return rte_hash_lookup_data(f->times, plain, &data) < 0 ? 0 : (uintptr_t)data;
}

static int times_set(struct xdp_filter *f, const struct xdp_rule *plain, uintptr_t times)
{
	int rc;

	if (times > 0)
		return rte_hash_add_key_data(f->times, plain, (void *)times); // NOLINT(performance-no-int-to-ptr)
	rc = rte_hash_del_key(f->times, plain);
	return rc < 0 ? rc : 0;
}

int xdp_filter_add(struct xdp_filter *f, const struct xdp_rule *rule)
{
	static const struct xdp_count none;
	struct xdp_rule plain;
	uintptr_t times;
	int rc;

	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	times = times_get(f, &plain);
	rc = times_set(f, &plain, times + 1);
	if (rc < 0 || times > 0)
		return rc;
	rc = use_begin(f, &plain);
	if (rc == 0 && bpf_map_update_elem(f->maps[plain.kind], rule_key(&plain), &none, BPF_NOEXIST) < 0) {
		rc = errno == E2BIG ? -ENOSPC : -errno;
		use_end(f, &plain);
	}
	if (rc < 0)
		times_set(f, &plain, 0);
	return rc;
}

int xdp_filter_del(struct xdp_filter *f, const struct xdp_rule *rule)
{
	struct xdp_rule plain;
	uintptr_t times;

	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	times = times_get(f, &plain);
	if (times == 0)
		return -ENOENT;
	if (times > 1)
		return times_set(f, &plain, times - 1);
	if (bpf_map_delete_elem(f->maps[plain.kind], rule_key(&plain)) < 0)
		return -errno;
	use_end(f, &plain);
	return times_set(f, &plain, 0);
}

int xdp_filter_count(const struct xdp_filter *f, const struct xdp_rule *rule, struct xdp_count *out)
{
	struct xdp_rule plain;

	memset(out, 0, sizeof(*out));
	if (drop_rule_check(rule) < 0)
		return -EINVAL;
	plain = drop_rule_plain(rule);
	return bpf_map_lookup_elem(f->maps[plain.kind], rule_key(&plain), out) < 0 ? -errno : 0;
}

static int sum_of_cpus(const struct xdp_filter *f, uint32_t what, struct xdp_count *out)
{
	int n = libbpf_num_possible_cpus();
	struct xdp_count *each;
	int rc = 0;

	memset(out, 0, sizeof(*out));
	if (n < 0)
		return n;
	each = calloc((size_t)n, sizeof(*each));
	if (each == NULL)
		return -ENOMEM;
	if (bpf_map_lookup_elem(f->total, &what, each) < 0)
		rc = -errno;
	for (int i = 0; i < n && rc == 0; i++) {
		out->packets += each[i].packets;
		out->bytes += each[i].bytes;
	}
	free(each);
	return rc;
}

int xdp_filter_total(const struct xdp_filter *f, struct xdp_count *out)
{
	return sum_of_cpus(f, XDP_TOTAL_DENIED, out);
}

int xdp_filter_unserved(const struct xdp_filter *f, struct xdp_count *out)
{
	return sum_of_cpus(f, XDP_TOTAL_UNSERVED, out);
}

uint32_t xdp_filter_n_rules(const struct xdp_filter *f)
{
	return (uint32_t)rte_hash_count(f->times);
}

int xdp_filter_try(const struct xdp_filter *f, const void *frame, uint32_t len_bytes)
{
	LIBBPF_OPTS(bpf_test_run_opts, opts, .data_in = frame, .data_size_in = len_bytes, .repeat = 1);

	return bpf_prog_test_run_opts(f->program, &opts) < 0 ? -errno : opts.retval == XDP_DROP;
}
