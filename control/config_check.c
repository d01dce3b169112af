// SPDX-License-Identifier: Apache-2.0
#include "config_check.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <pwd.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "auth.h"
#include "cmd_parse.h"
#include "log.h"
#include "ovsdb_link.h"
#include "prove.h"
#include "speaker.h"
#include "tls.h"

#define HOSTS_MAX 65536   // that the controller knows at all
#define LEASE_MIN_S 8     // switches count in seconds
#define LEASE_MAX_S 43200 // OpenFlow has 65535 for one and a half of them

#define PORTS_MAX 32 // of rte_ethdev
#define WORKERS_MAX 8
#define NAMES_MAX 4096
#define RUN_DIR_MAX 80 // with "/control.sock" it must fit sun_path
#define NAME_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-"

struct check {
	const struct yaml_index *index;
	const char *file;
	struct err *err;
};

__attribute__((format(printf, 3, 4))) static int bad(const struct check *k, const char *path, const char *fmt, ...)
{
	const struct yaml_place *place = yaml_index_find(k->index, path);
	char words[384];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(words, sizeof(words), fmt, ap);
	va_end(ap);
	return err_set(k->err, EINVAL, "%s:%zu: %s: %s", k->file, place != NULL ? place->line : 1, path, words);
}

// As bad(), for entry i of a list.
#define bad_entry(k, list, i, key, ...) bad(k, entry_path((char[64]){0}, 64, list, i, key), __VA_ARGS__)

static const char *entry_path(char *buf, size_t size, const char *list, unsigned int i, const char *key)
{
	snprintf(buf, size, "%s[%u].%s", list, i, key);
	return buf;
}

// Decimal digits, and few enough for 32 bits.
static bool is_number(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len < 10 && strspn(text, "0123456789") == len && (text[0] != '0' || len == 1);
}

int config_check_text(const struct yaml_index *index, const char *file, struct err *err)
{
	static const char *const bools[] = {"dataplane.huge_pages", "dataplane.poll_always",
					    "dataplane.drop_fragments"};
	static const char *const numbers[] = {
		"dataplane.mac_ageing_s",  "dataplane.memory_mb", "dataplane.mtu",     "dataplane.policy_wait_ms",
		"dataplane.simd_max_bits", "limits.sessions",     "limits.requests",   "limits.statements_per_s",
		"limits.all_sessions",     "openflow_lease_s",    "dataplane.workers", "openflow_hosts_max"};
	const struct check k = {index, file, err};
	const struct yaml_place *top = yaml_index_find(index, "");

	if (top == NULL || top->kind != YAML_KIND_MAPPING)
		return err_set(err, EINVAL, "%s:%zu: expected keys and values such as `run_dir: /run/pane`", file,
			       top != NULL ? top->line : 1);
	for (size_t i = 0; i < sizeof(bools) / sizeof(bools[0]); i++) {
		const struct yaml_place *place = yaml_index_find(index, bools[i]);

		// libcyaml takes any word for true
		if (place != NULL && place->value != NULL && strcmp(place->value, "true") != 0 &&
		    strcmp(place->value, "false") != 0)
			return bad(&k, bools[i], "expected true or false, got \"%.64s\"", place->value);
	}
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		const struct yaml_place *place = yaml_index_find(index, numbers[i]);

		// libcyaml takes 010 for eight
		if (place != NULL && place->value != NULL && !is_number(place->value))
			return bad(&k, numbers[i], "expected a whole number, got \"%.64s\"", place->value);
	}
	return 0;
}

static int check_device(const struct check *k, unsigned int i, const char *device)
{
	static const char *const interface[] = {"af_xdp:", "af_packet:", "tap:"};
	static const char *const other[] = {"pcap:", "ring:", "memif:", "vhost:", "pci:"};

	for (size_t n = 0; n < sizeof(interface) / sizeof(interface[0]); n++) {
		size_t len = strlen(interface[n]), name_len;

		if (strncmp(device, interface[n], len) != 0)
			continue;
		name_len = strcspn(device + len, ","); // arguments of the driver follow
		if (name_len == 0 || name_len >= IF_NAMESIZE)
			return bad_entry(k, "ports", i, "device",
					 "expected %s and an interface name of 1 to %d characters, got \"%.64s\"",
					 interface[n], IF_NAMESIZE - 1, device);
		return 0;
	}
	for (size_t n = 0; n < sizeof(other) / sizeof(other[0]); n++) {
		if (strncmp(device, other[n], strlen(other[n])) == 0 && device[strlen(other[n])] != '\0')
			return 0;
	}
	if (strncmp(device, "null:", strlen("null:")) == 0)
		return 0;
	return bad_entry(
		k, "ports", i, "device",
		"expected af_xdp:IF, af_packet:IF, tap:IF, pcap:IN,OUT, ring:N, memif:ARGS, vhost:SOCKET, pci:ADDRESS "
		"or null:, got \"%.64s\"",
		device);
}

// The interface of a device text; 0: it has none. Its length.
static size_t interface_of(const char *device, const char **name)
{
	static const char *const kinds[] = {"af_xdp:", "af_packet:", "tap:"};

	for (size_t n = 0; n < sizeof(kinds) / sizeof(kinds[0]); n++) {
		if (strncmp(device, kinds[n], strlen(kinds[n])) == 0) {
			*name = device + strlen(kinds[n]);
			return strcspn(*name, ",");
		}
	}
	return 0;
}

static bool same_interface(const char *a, const char *b)
{
	const char *name_a = "", *name_b = "";
	size_t len = interface_of(a, &name_a);

	return len > 0 && interface_of(b, &name_b) == len && strncmp(name_a, name_b, len) == 0;
}

static int check_port(const struct check *k, struct config *c, unsigned int i)
{
	struct config_port *port = &c->ports[i];

	if (strlen(port->name) > 31 || strspn(port->name, NAME_CHARS) != strlen(port->name))
		return bad_entry(k, "ports", i, "name", "expected up to 31 of A-Z a-z 0-9 _ . -, got \"%.64s\"",
				 port->name);
	if (check_device(k, i, port->device) < 0)
		return -EINVAL;
	if (strstr(port->device, ",iface=") != NULL)
		return bad_entry(k, "ports", i, "device",
				 "what follows the colon names the interface, no argument iface, got \"%.64s\"",
				 port->device);
	for (unsigned int n = 0; n < i; n++) {
		if (strcmp(c->ports[n].name, port->name) == 0)
			return bad_entry(k, "ports", i, "name", "\"%s\" is also the name of ports[%u]", port->name, n);
		if (strcmp(c->ports[n].device, port->device) == 0 && strcmp(port->device, "null:") != 0)
			return bad_entry(k, "ports", i, "device", "\"%.64s\" is also the device of ports[%u]",
					 port->device, n);
		if (same_interface(c->ports[n].device, port->device))
			return bad_entry(k, "ports", i, "device",
					 "the interface of \"%.64s\" is also that of ports[%u]", port->device, n);
	}
	if (port->rate != NULL && (cmd_parse_rate(port->rate, &port->rate_bps) < 0 || port->rate_bps == 0))
		return bad_entry(k, "ports", i, "rate", "expected a rate such as 100Mb, got \"%.64s\"", port->rate);
	return 0;
}

static int check_host(const struct check *k, const struct config *c, unsigned int i)
{
	const struct config_host *host = &c->hosts[i];
	struct principal name;
	struct err why;
	uint8_t addr[16];

	if (principal_parse(host->name, &name, &why) < 0 || strcmp(name.user, host->name) != 0)
		return bad_entry(k, "hosts", i, "name", "expected up to 63 of A-Z a-z 0-9 _ $ -, got \"%.64s\"",
				 host->name);
	if (inet_pton(AF_INET, host->address, addr) != 1 && inet_pton(AF_INET6, host->address, addr) != 1)
		return bad_entry(k, "hosts", i, "address", "expected an IPv4 or IPv6 address, got \"%.64s\"",
				 host->address);
	for (unsigned int n = 0; n < i; n++) {
		if (strcmp(c->hosts[n].name, host->name) == 0)
			return bad_entry(k, "hosts", i, "name", "\"%s\" is also the name of hosts[%u]", host->name, n);
	}
	return 0;
}

static int check_principal(const struct check *k, const struct config *c, unsigned int i)
{
	const struct config_principal *p = &c->principals[i];
	struct principal name;
	struct err why;

	if (principal_parse(p->name, &name, &why) < 0 || strcmp(name.user, p->name) != 0)
		return bad_entry(k, "principals", i, "name", "expected a user's name, got \"%.64s\"", p->name);
	return 0;
}

static int check_lists(const struct check *k, struct config *c)
{
	if (c->n_ports > PORTS_MAX)
		return bad(k, "ports", "at most %d, got %u", PORTS_MAX, c->n_ports);
	if (c->n_hosts > NAMES_MAX)
		return bad(k, "hosts", "at most %d, got %u", NAMES_MAX, c->n_hosts);
	if (c->n_principals > NAMES_MAX)
		return bad(k, "principals", "at most %d, got %u", NAMES_MAX, c->n_principals);
	for (unsigned int i = 0; i < c->n_ports; i++) {
		if (check_port(k, c, i) < 0)
			return -EINVAL;
	}
	for (unsigned int i = 0; i < c->n_hosts; i++) {
		if (check_host(k, c, i) < 0)
			return -EINVAL;
	}
	for (unsigned int i = 0; i < c->n_principals; i++) {
		if (check_principal(k, c, i) < 0)
			return -EINVAL;
	}
	return 0;
}

static int check_dataplane(const struct check *k, const struct config_dataplane *d)
{
	const struct {
		const char *path;
		uint32_t value, min, max;
	} range[] = {
		{"dataplane.mac_ageing_s", d->mac_ageing_s, 1, 1000000},
		{"dataplane.memory_mb", d->memory_mb, 64, 1048576},
		{"dataplane.mtu", d->mtu, 576, 9600},
		{"dataplane.policy_wait_ms", d->policy_wait_ms, 0, 60000},
		{"dataplane.workers", d->workers, 0, WORKERS_MAX}, // of dataplane/workers.h
	};

	for (size_t i = 0; i < sizeof(range) / sizeof(range[0]); i++) {
		if (range[i].value < range[i].min || range[i].value > range[i].max)
			return bad(k, range[i].path, "expected %u to %u, got %u", range[i].min, range[i].max,
				   range[i].value);
	}
	if (d->simd_max_bits != 0 && d->simd_max_bits != 128 && d->simd_max_bits != 256 && d->simd_max_bits != 512)
		return bad(k, "dataplane.simd_max_bits", "expected 0, 128, 256 or 512, got %u", d->simd_max_bits);
	if (d->lcores != NULL && (strspn(d->lcores, "0123456789,") != strlen(d->lcores) || strlen(d->lcores) > 63))
		return bad(k, "dataplane.lcores", "expected core numbers such as 0,1, got \"%.64s\"", d->lcores);
	return 0;
}

// The files are read, too: what is wrong with them is said now and not when the controller starts.
static int check_tls(const struct check *k, const char *name, const struct config_tls *tls, bool with_files)
{
	static const char *const key[] = {
		[TLS_FILE_NONE] = "",  [TLS_FILE_CERT] = ".cert", [TLS_FILE_KEY] = ".key",
		[TLS_FILE_CA] = ".ca", [TLS_FILE_CRL] = ".crl",
	};
	const struct tls_files files = {tls->cert, tls->key, tls->ca, tls->crl};
	struct sockaddr_storage addr;
	enum tls_file wrong;
	socklen_t addr_len;
	SSL_CTX *ctx;
	struct err why;
	char path[32];

	if (tls->listen == NULL)
		return 0;
	snprintf(path, sizeof(path), "%s.listen", name);
	if (auth_address_parse(tls->listen, &addr, &addr_len, &why) < 0)
		return bad(k, path, "%.256s", why.msg);
	if (!with_files)
		return 0;
	ctx = tls_server_create(&files, &wrong, &why);
	snprintf(path, sizeof(path), "%s%s", name, ctx == NULL ? key[wrong] : "");
	if (ctx == NULL)
		return bad(k, path, "%.300s", why.msg);
	SSL_CTX_free(ctx);
	return 0;
}

int config_check(struct config *c, const struct yaml_index *index, const char *file, bool with_files, struct err *err)
{
	const struct check k = {index, file, err};
	struct sockaddr_storage addr;
	enum log_level level;
	enum prove_mode verify;
	socklen_t addr_len;
	struct err why;

	if (c->run_dir[0] != '/' || strlen(c->run_dir) > RUN_DIR_MAX)
		return bad(&k, "run_dir", "expected an absolute path of up to %d characters, got \"%.100s\"",
			   RUN_DIR_MAX, c->run_dir);
	if (c->state_dir[0] != '/')
		return bad(&k, "state_dir", "expected an absolute path, got \"%.100s\"", c->state_dir);
	if (c->tcp_listen != NULL && auth_listen_parse(c->tcp_listen, &addr, &addr_len, &why) < 0)
		return bad(&k, "tcp_listen", "%.256s", why.msg);
	if (c->openflow_ovsdb != NULL && ovsdb_links_check(c->openflow_ovsdb, &why) < 0)
		return bad(&k, "openflow_ovsdb", "%.256s", why.msg);
	if (c->openflow_ovsdb != NULL && c->openflow_listen == NULL && c->openflow_tls.listen == NULL)
		return bad(&k, "openflow_ovsdb",
			   "is for switches that connect to openflow_listen or openflow_tls; "
			   "neither is there");
	if (c->metrics_listen != NULL && auth_address_parse(c->metrics_listen, &addr, &addr_len, &why) < 0)
		return bad(&k, "metrics_listen", "%.256s", why.msg);
	if (c->openflow_listen != NULL && auth_address_parse(c->openflow_listen, &addr, &addr_len, &why) < 0)
		return bad(&k, "openflow_listen", "%.256s", why.msg);
	if (c->openflow_lease_s != 0 && (c->openflow_lease_s < LEASE_MIN_S || c->openflow_lease_s > LEASE_MAX_S))
		return bad(&k, "openflow_lease_s", "expected 0 (never) or %d to %d seconds, got %u", LEASE_MIN_S,
			   LEASE_MAX_S, c->openflow_lease_s);
	if (c->openflow_hosts_max < 1 || c->openflow_hosts_max > HOSTS_MAX)
		return bad(&k, "openflow_hosts_max", "expected 1 to %d hosts, got %u", HOSTS_MAX,
			   c->openflow_hosts_max);
	if (check_tls(&k, "tls", &c->tls, with_files) < 0 ||
	    check_tls(&k, "openflow_tls", &c->openflow_tls, with_files) < 0)
		return -EINVAL;
	if (c->control_user != NULL && getpwnam(c->control_user) == NULL)
		return bad(&k, "control_user", "there is no OS user \"%.64s\"", c->control_user);
	if (log_level_parse(c->log_level, &level) < 0)
		return bad(&k, "log_level", "expected error, warning, info or debug, got \"%.64s\"", c->log_level);
	if (prove_mode_parse(c->verify, &verify) < 0)
		return bad(&k, "verify", "expected always, sample or off, got \"%.64s\"", c->verify);
	if (check_lists(&k, c) < 0)
		return -EINVAL;
	return check_dataplane(&k, &c->dataplane);
}

void config_warn(const struct config *c, void (*say)(void *ctx, const char *words), void *ctx)
{
	char words[192];

	for (unsigned int i = 0; i < c->n_principals; i++) {
		if (getpwnam(c->principals[i].os_user) != NULL)
			continue;
		snprintf(words, sizeof(words), "principals[%u].os_user: there is no OS user \"%.64s\"", i,
			 c->principals[i].os_user);
		say(ctx, words);
	}
	if (c->n_ports == 0 && c->openflow_listen == NULL && c->openflow_tls.listen == NULL)
		say(ctx, "ports: there are none, nor OpenFlow switches: nothing is forwarded");
}
