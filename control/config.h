// SPDX-License-Identifier: Apache-2.0
// The configuration file: YAML, schema in C (libcyaml). Errors name file, line and key. docs/pane.yaml explains every
// key. Thread: start-up. Owner: the caller (config_load ... config_free).
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"

struct config_port {
	char *name;        // unique, [A-Za-z0-9_.-]{1,31}
	char *device;      // af_xdp:IF, af_packet:IF, tap:IF, pcap:IN,OUT, ring:N, null:, memif:ARGS, vhost:SOCKET,
			   // pci:ADDRESS
	char *rate;        // text as in SPEC 2 ("100Mb"), may be NULL
	uint64_t rate_bps; // from rate; 0: none
};

struct config_host {
	char *name;
	char *address;
};

struct config_principal { // which OS user may speak for which name
	char *name;
	char *os_user;
};

struct config_dataplane {
	uint32_t mac_ageing_s;   // default 300
	uint32_t memory_mb;      // default 256
	uint32_t mtu;            // largest IP packet; default 1500
	uint32_t policy_wait_ms; // a starting dataplane forwards nothing until it has the policy, at most so long
				 // where there is no controller; default 2000
	bool huge_pages;         // default false
	char *lcores;     // CPUs, "main,worker,...": workers take those after the first in turn; default chosen from
			  // the affinity mask; may be NULL
	uint32_t workers; // threads that carry packets, 0 to 8; default 0: one for each CPU of lcores but the first, or
			  // 1
	bool poll_always; // default false: sleep shortly when idle
	bool drop_fragments;    // of IP packets; default false
	uint32_t simd_max_bits; // 0 scalar, 128, 256, 512 (default)
};

struct config_tls {            // all texts NULL: no TLS
	char *listen;          // ADDRESS:PORT
	char *cert, *key, *ca; // files; see tls.h
	char *crl;             // NULL: nothing is revoked
};

// What one user other than root may have; 0: any number.
struct config_limits {
	uint32_t all_sessions;     // of everybody together; default 8192
	uint32_t sessions;         // default 256
	uint32_t requests;         // accepted and not over; default 100000
	uint32_t statements_per_s; // default 20000; so many at once, too
};

struct config {
	char *run_dir;    // sockets; default /run/pane
	char *state_dir;  // journal; default /var/lib/pane
	char *tcp_listen; // "127.0.0.1:4242", loopback only; NULL: no TCP
	struct config_tls tls;
	char *openflow_listen;          // "0.0.0.0:6653": OpenFlow switches connect here; NULL: none
	struct config_tls openflow_tls; // and here with a certificate: whoever has one of this CA is a switch
	char *openflow_ovsdb; // "unix:/PATH,tcp:ADDRESS:PORT": databases of the Open vSwitches, for queues; NULL: none
	uint32_t openflow_lease_s;   // default 3600; see of_plan.h
	uint32_t openflow_hosts_max; // of one port, as topo.h says; default 1024
	char *metrics_listen;        // "127.0.0.1:9464": figures for Prometheus over HTTP; NULL: none
	char *control_user;          // the controller runs as this OS user after start; NULL: unchanged
	char *verify;                // always, sample, off: prove.h; default sample
	char *log_level;             // error, warning, info, debug; default info
	struct config_port *ports;
	unsigned int n_ports;
	struct config_host *hosts;
	unsigned int n_hosts;
	struct config_principal *principals;
	unsigned int n_principals;
	struct config_limits limits;
	struct config_dataplane dataplane;
};

// -EINVAL, -ENOENT ... with "FILE:LINE: KEY: what was expected" in err. *out is NULL on error.
int config_load(const char *path, struct config **out, struct err *err);
// The same under another name, which errors tell. with_files: the files that it names (of TLS) are read, too; else
// whoever uses them says what is wrong with them.
int config_load_as(const char *path, const char *name, bool with_files, struct config **out, struct err *err);
// Puts the text of the file at path into fd, instead of what is there, between two readers of config_load_as.
// 0 or -errno as config_load; then fd is as it was, unless it could not be written.
int config_copy(const char *path, int fd, struct err *err);
// What is not wrong but probably not meant: say(ctx, words) for each.
void config_warn(const struct config *c, void (*say)(void *ctx, const char *words), void *ctx);
// Either may be NULL.
bool config_same_text(const char *a, const char *b);
// The names of all keys but ports that differ, with commas between, cut at size (at least 1); "": none.
void config_differs(const struct config *a, const struct config *b, char *names, size_t size);
void config_free(struct config *c); // accepts NULL
