// SPDX-License-Identifier: Apache-2.0
#include "cmd_table.h"

#include <assert.h>
#include <string.h>

#define REQUEST_TAIL "[strict|partial] on SHARE [from TIME] [to TIME]"

static const struct cmd_info table[] = {
	{VERB_ALLOW, "allow", "allow(FLOWGROUP) " REQUEST_TAIL, "permit these flows",
	 "allow(user=alice, dstPort=80) on aliceShare to +10min."},
	{VERB_DENY, "deny", "deny(FLOWGROUP) " REQUEST_TAIL, "drop these flows",
	 "deny(srcHost=10.0.0.5, dstHost=10.0.0.6) on net0 from now to +30s."},
	{VERB_RESERVE, "reserve", "reserve(FLOWGROUP) = RATE " REQUEST_TAIL, "guarantee these flows a bandwidth",
	 "reserve(dstPort=443) = 5Mb on net0 from now to +10min."},
	{VERB_RATELIMIT, "ratelimit", "ratelimit(FLOWGROUP) = RATE " REQUEST_TAIL,
	 "limit these flows, taken together, to a bandwidth", "ratelimit(transport=UDP) = 20Mb on net0 to +1h."},
	{VERB_WAYPOINT, "waypoint", "waypoint(FLOWGROUP) = IP[, IP...] " REQUEST_TAIL,
	 "send these flows through middleboxes, in this order",
	 "waypoint(dstPort=80) = 10.0.0.8, 10.0.0.9 on net0 to +1h."},
	{VERB_AVOID, "avoid", "avoid(FLOWGROUP) = IP[, IP...] " REQUEST_TAIL, "keep these flows away from middleboxes",
	 "avoid(srcHost=10.0.0.5) = {10.0.0.8} on net0."},
	{VERB_HINT, "hint", "hint(FLOWGROUP) PARAMETER[, PARAMETER...] on SHARE [from TIME] [to TIME]",
	 "say what to expect of these flows: duration = TIME, size = BYTES, deadline = TIME, predictability = "
	 "bursty|steady, class = background|interactive; promises nothing",
	 "hint(srcHost=10.0.0.5, dstPort=873) size = 2GB, deadline = +10min, class = background on net0."},
	{VERB_CANCEL, "cancel", "cancel NUMBER", "end an accepted request", "cancel 17."},
	{VERB_RENEW, "renew", "renew NUMBER to TIME", "prolong an accepted request", "renew 17 to +1h."},
	{VERB_LIST_REQUESTS, "ListRequests", "ListRequests [SHARE]", "accepted requests that are not over",
	 "ListRequests net0."},
	{VERB_NEW_SHARE, "NewShare", "NewShare NAME for FLOWGROUP [PRIVILEGES] on PARENT",
	 "make a share: which flows, and what may be asked for them",
	 "NewShare aliceShare for (user=alice) [reserve <= 10Mb, allow <= 1h] on rootShare."},
	{VERB_GRANT, "Grant", "Grant SHARE to PRINCIPAL", "let a principal speak for a share", "Grant net0 to alice."},
	{VERB_GRANT_DEFAULT, "GrantDefault", "GrantDefault SHARE", "let every registered user speak for a share",
	 "GrantDefault net0."},
	{VERB_REVOKE, "Revoke", "Revoke SHARE from PRINCIPAL", "take back what was granted to exactly this principal",
	 "Revoke net0 from alice."},
	{VERB_DROP_SHARE, "DropShare", "DropShare SHARE", "end a share, all below it and their requests",
	 "DropShare net0."},
	{VERB_ADD_USER, "AddUser", "AddUser USER", "register a user", "AddUser alice."},
	{VERB_DROP_USER, "DropUser", "DropUser USER",
	 "take a user's grants and addresses, and end its sessions; what it requested stays", "DropUser alice."},
	{VERB_BIND, "Bind", "Bind USER to IP|MAC|IP TRANSPORT PORTS",
	 "say which IP or MAC address, or which ports of an address, are a user's",
	 "Bind alice to 10.0.0.5 TCP 8000-8100."},
	{VERB_UNBIND, "Unbind", "Unbind USER [from IP|MAC|IP TRANSPORT PORTS]", "take an address, or all, from a user",
	 "Unbind alice from 10.0.0.5."},
	{VERB_GET_SCHEDULE, "GetSchedule", "GetSchedule SHARE",
	 "free bandwidth and tokens of a share from now on, at each change", "GetSchedule net0."},
	{VERB_LIST_SHARES, "ListShares", "ListShares", "the shares you may speak for", "ListShares."},
	{VERB_LIST_SHARES_BY_FLOW_GROUP, "ListSharesByFlowGroup", "ListSharesByFlowGroup FLOWGROUP",
	 "shares whose flow group contains this one", "ListSharesByFlowGroup (dstPort=80)."},
	{VERB_TRAFFIC, "traffic", "traffic(FLOWGROUP) on SHARE [last TIME]",
	 "bytes and packets of these flows as the requests of a share and below count them, at most of the last 24h",
	 "traffic(dstPort=443) on net0 last 1h."},
	{VERB_TRAFFIC_BETWEEN, "TrafficBetween", "TrafficBetween IP IP",
	 "bytes and packets that requests count between two hosts, in both directions",
	 "TrafficBetween 10.0.0.5 10.0.0.6."},
	{VERB_PORTS, "ports", "ports", "ports of the switch with state and counters, and those of OpenFlow switches",
	 "ports."},
	{VERB_LINKS, "links", "links", "links between OpenFlow switches, and whether they were seen both ways",
	 "links."},
	{VERB_HOSTS, "hosts", "hosts [behind PORT|SWITCH]",
	 "hosts that are known, or those seen behind a port or an OpenFlow switch", "hosts behind p1."},
	{VERB_QUEUES, "queues", "queues",
	 "what waits or was lost at each port, and the reservations and limits in force you may see", "queues."},
	{VERB_WHERE, "where", "where IP", "the switch and port behind which an address was seen, its name and its user",
	 "where 10.0.0.5."},
	{VERB_VERIFY, "verify", "verify [ROUND]",
	 "begin to check what the OpenFlow switches have installed against the policy, or tell what a round has found",
	 "verify."},
	{VERB_EXPLAIN, "explain", "explain(PACKET FIELDS) [at TIME]",
	 "what happens to such a packet and why: requests that match, how they combine share by share, the rows",
	 "explain(srcHost=10.0.0.5, dstHost=10.0.0.6, transport=TCP, dstPort=80)."},
	{VERB_TRACE, "trace", "trace(PACKET FIELDS)",
	 "the same, and what the dataplane finds for it now: rows and where they lie, the class it queues in",
	 "trace(srcHost=10.0.0.5, dstHost=10.0.0.6, transport=TCP, dstPort=80)."},
	{VERB_CAPTURE, "capture", "capture(FLOWGROUP) on SHARE [count N] [for TIME]",
	 "frames of these flows as they come in, until there are N (1000) or the time (10s) is over",
	 "capture(dstPort=80) on net0 count 100 for 5s."},
	{VERB_TIME, "time", "time", "the controller's time", "time."},
	{VERB_TICK, "Tick", "Tick SECONDS", "move the clock on (trace files only)", "Tick 10."},
	{VERB_MODE, "mode", "mode json|classic", "form of the answers", "mode json."},
	{VERB_HELP, "help", "help [VERB]", "the verbs, or one of them", "help reserve."},
	{VERB_QUIT, "quit", "quit", "leave", "quit."},
};

#define N_ROWS (sizeof(table) / sizeof(table[0]))

const struct cmd_info *cmd_table_at(size_t i)
{
	return i < N_ROWS ? &table[i] : NULL;
}

const struct cmd_info *cmd_table_find(const char *name, size_t len)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (strlen(table[i].name) == len && memcmp(table[i].name, name, len) == 0)
			return &table[i];
	return NULL;
}

const struct cmd_info *cmd_table_get(enum verb verb)
{
	for (size_t i = 0; i < N_ROWS; i++)
		if (table[i].verb == verb)
			return &table[i];
	assert(!"every verb has a row");
	return &table[0];
}
