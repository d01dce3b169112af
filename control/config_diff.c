// SPDX-License-Identifier: Apache-2.0
// What of a configuration differs from another, by the names of its keys.
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "config.h"

enum type { TEXT, NUMBER, FLAG };

// All but ports and lists, in the order of config.h.
static const struct key {
	const char *name;
	size_t at;
	enum type type;
} keys[] = {
#define KEY(member, type) \
	{ \
#member, offsetof(struct config, member), type \
	}
	KEY(run_dir, TEXT),
	KEY(state_dir, TEXT),
	KEY(tcp_listen, TEXT),
	KEY(tls.listen, TEXT),
	KEY(tls.cert, TEXT),
	KEY(tls.key, TEXT),
	KEY(tls.ca, TEXT),
	KEY(tls.crl, TEXT),
	KEY(openflow_listen, TEXT),
	KEY(openflow_tls.listen, TEXT),
	KEY(openflow_tls.cert, TEXT),
	KEY(openflow_tls.key, TEXT),
	KEY(openflow_tls.ca, TEXT),
	KEY(openflow_tls.crl, TEXT),
	KEY(openflow_ovsdb, TEXT),
	KEY(openflow_lease_s, NUMBER),
	KEY(openflow_hosts_max, NUMBER),
	KEY(metrics_listen, TEXT),
	KEY(control_user, TEXT),
	KEY(verify, TEXT),
	KEY(log_level, TEXT),
	KEY(limits.all_sessions, NUMBER),
	KEY(limits.sessions, NUMBER),
	KEY(limits.requests, NUMBER),
	KEY(limits.statements_per_s, NUMBER),
	KEY(dataplane.mac_ageing_s, NUMBER),
	KEY(dataplane.memory_mb, NUMBER),
	KEY(dataplane.mtu, NUMBER),
	KEY(dataplane.policy_wait_ms, NUMBER),
	KEY(dataplane.huge_pages, FLAG),
	KEY(dataplane.lcores, TEXT),
	KEY(dataplane.workers, NUMBER),
	KEY(dataplane.poll_always, FLAG),
	KEY(dataplane.drop_fragments, FLAG),
	KEY(dataplane.simd_max_bits, NUMBER),
#undef KEY
};

bool config_same_text(const char *a, const char *b)
{
	return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

static bool same(const struct key *k, const struct config *a, const struct config *b)
{
	const char *x = (const char *)a + k->at, *y = (const char *)b + k->at;

	switch (k->type) {
	case TEXT:
		return config_same_text(*(char *const *)x, *(char *const *)y);
	case NUMBER:
		return *(const uint32_t *)x == *(const uint32_t *)y;
	case FLAG:
		return *(const bool *)x == *(const bool *)y;
	}
	return true;
}

static bool same_hosts(const struct config *a, const struct config *b)
{
	bool rc = a->n_hosts == b->n_hosts;

	for (unsigned int i = 0; rc && i < a->n_hosts; i++)
		rc = config_same_text(a->hosts[i].name, b->hosts[i].name) &&
		     config_same_text(a->hosts[i].address, b->hosts[i].address);
	return rc;
}

static bool same_principals(const struct config *a, const struct config *b)
{
	bool rc = a->n_principals == b->n_principals;

	for (unsigned int i = 0; rc && i < a->n_principals; i++)
		rc = config_same_text(a->principals[i].name, b->principals[i].name) &&
		     config_same_text(a->principals[i].os_user, b->principals[i].os_user);
	return rc;
}

static void add(char *names, size_t size, const char *name)
{
	size_t len = strlen(names);

	snprintf(names + len, size - len, "%s%s", len > 0 ? ", " : "", name);
}

void config_differs(const struct config *a, const struct config *b, char *names, size_t size)
{
	names[0] = '\0';
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		if (!same(&keys[i], a, b))
			add(names, size, keys[i].name);
	}
	if (!same_hosts(a, b))
		add(names, size, "hosts");
	if (!same_principals(a, b))
		add(names, size, "principals");
}
