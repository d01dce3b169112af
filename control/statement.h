// SPDX-License-Identifier: Apache-2.0
// A parsed statement: a plain value, made by cmd_parse, executed by engine. Names are not looked up yet, except users
// and hosts inside flow groups. Owner: the caller (statement_fini frees the flow group). Thread: control only.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#include "hft/match.h"
#include "ip_list.h"
#include "speaker.h"

#define NAME_MAX_LEN 64 // identifiers are refused when longer (PRINCIPAL_NAME_MAX with its end)

enum verb {
	VERB_ADD_USER,
	VERB_NEW_SHARE,
	VERB_GRANT,
	VERB_GRANT_DEFAULT,
	VERB_REVOKE,
	VERB_DROP_SHARE,
	VERB_DROP_USER,
	VERB_BIND, // Bind U to ADDRESS: IP, MAC, or IP TRANSPORT PORTS
	VERB_UNBIND,
	VERB_ALLOW,
	VERB_DENY,
	VERB_RESERVE,
	VERB_RATELIMIT,
	VERB_WAYPOINT,
	VERB_AVOID,
	VERB_HINT,
	VERB_CANCEL,
	VERB_RENEW,
	VERB_GET_SCHEDULE,
	VERB_LIST_SHARES,
	VERB_LIST_SHARES_BY_FLOW_GROUP,
	VERB_LIST_REQUESTS,
	VERB_TRAFFIC,         // `traffic(FG) on S [last 1h].`
	VERB_TRAFFIC_BETWEEN, // `TrafficBetween IP IP.`
	VERB_PORTS,           // `ports.`
	VERB_LINKS,
	VERB_HOSTS, // `hosts.` / `hosts behind PORT.`
	VERB_QUEUES,
	VERB_VERIFY,  // `verify.` / `verify N.`
	VERB_WHERE,   // `where IP.`
	VERB_EXPLAIN, // `explain(PACKET FIELDS) [at TIME].`
	VERB_TRACE,   // `trace(PACKET FIELDS).`
	VERB_CAPTURE, // `capture(FG) on S [count N] [for TIME].`
	VERB_TIME,    // `time.`
	VERB_HELP,
	VERB_TICK,
	VERB_MODE, // `mode json.` / `mode classic.`
	VERB_QUIT,
};

enum time_kind {
	TIME_DEFAULT, // not given
	TIME_NOW,
	TIME_RELATIVE, // ns from now
	TIME_ABSOLUTE, // ns since the epoch
	TIME_FOREVER,
};

struct time_spec {
	enum time_kind kind;
	int64_t ns;
};

#define RATE_UNLIMITED UINT64_MAX // also: no value
#define DURATION_UNLIMITED INT64_MAX

// Which privileges a NewShare names, and their values. A bit in `given` for each.
enum privilege {
	PRIV_ALLOW,
	PRIV_DENY,
	PRIV_RESERVE_MAX,
	PRIV_RESERVE_MIN,
	PRIV_TB_FILL,
	PRIV_TB_CAPACITY,
	PRIV_RATELIMIT,
	PRIV_WAYPOINT,
	PRIV_AVOID,
	PRIV_HINT,
	PRIV_QUERY,
	PRIV_VIEW,
	PRIV_WEIGHT,
	PRIV_N,
};

// What a share may see (SPEC 3).
enum view {
	VIEW_TRAFFIC = 1 << 0,
	VIEW_PORTS = 1 << 1,
	VIEW_LINKS = 1 << 2,
	VIEW_HOSTS = 1 << 3,
	VIEW_QUEUES = 1 << 4,
	VIEW_SCHEDULE = 1 << 5,
	VIEW_ALL = (1 << 6) - 1,
};

struct privileges {
	uint32_t given;            // 1 << enum privilege
	int64_t allow_ns, deny_ns; // longest time; 0: False; DURATION_UNLIMITED: True
	uint64_t reserve_max_bps, reserve_min_bps;
	uint64_t tb_fill_bps, tb_capacity_bits;
	uint64_t ratelimit_min_bps;
	struct ip_list *waypoint, *avoid; // sets; a reference each in a statement and in a share
	bool hint, query;
	uint32_t view; // set of enum view
	uint32_t weight;
};

enum strictness {
	STRICT_DEFAULT, // strict
	STRICT_STRICT,
	STRICT_PARTIAL,
};

enum predictability {
	PREDICT_BURSTY,
	PREDICT_STEADY,
};

enum traffic_class {
	CLASS_INTERACTIVE,
	CLASS_BACKGROUND, // only from bandwidth that nobody else wants
};

// Which parameters a hint names. A bit in `given` for each.
enum hint_param {
	HINT_DURATION,
	HINT_SIZE,
	HINT_DEADLINE,
	HINT_PREDICTABILITY,
	HINT_CLASS,
	HINT_N,
};

struct hint {
	uint32_t given; // 1 << enum hint_param
	int64_t duration_ns;
	uint64_t size_bytes;
	struct time_spec deadline;
	enum predictability predictability;
	enum traffic_class class;
};

struct statement {
	enum verb verb;
	char name[NAME_MAX_LEN];    // user, new or dropped share, share of GetSchedule/ListRequests ("" if not given),
				    // port of `hosts behind`, mode, help topic
	char share[NAME_MAX_LEN];   // `on SHARE`, parent of NewShare, granted share
	struct principal principal; // Grant ... to P, Revoke ... from P
	struct match flows;         // flow group; without time
	struct privileges privileges;
	uint64_t rate_bps;         // reserve, ratelimit
	struct ip_list *addresses; // waypoint, TrafficBetween, where: in order; avoid: a set; a reference
	uint64_t number;           // cancel N, renew N, Tick N, capture count N
	enum strictness strictness;
	struct time_spec from, to; // explain: to is its time
	struct hint hint;
	int64_t last_ns;      // of traffic; 0: not given. Of capture: how long
	struct match binding; // Bind/Unbind ADDRESS as a flow group on the source side
	bool has_binding;
};

void statement_init(struct statement *s);
void statement_fini(struct statement *s);
