// SPDX-License-Identifier: Apache-2.0
// Switches, their ports, the links between them, and where hosts are: a value that answers paths and trees.
// Links are directed as they are found; only one that was found in both directions carries traffic. No I/O, no clock of
// its own. Owner: the caller. Thread: control only. Time: ns, an argument.
//
// One of the switches may be a bridge that learns (IEEE 802.1D, 7.8): nobody tells it where to send. It sends a frame
// to where it saw the address last, or everywhere. So that it always saw it in the right place:
// All its links are on the tree, and all that is flooded goes along them. The tree without the bridge falls into sides,
// one for each of its links: what a host sends comes to the bridge from the host's own side only, and leaves it to the
// side of the host it is for (topo_leads). So a way that leaves the side it begins in goes either into the bridge or
// straight into the side where it ends, and never leaves that again.
#pragma once
#include <stdbool.h>
#include <stdint.h>

#define TOPO_NONE UINT32_MAX
#define TOPO_LINK_AGE_NS 15000000000LL // a link not seen for so long is gone
// A port is taken for one with hosts only after so long without a probe: until then nothing is flooded to it or taken
// from it, so that a ring that is being found out cannot carry a storm.
#define TOPO_SETTLE_NS 1000000000LL

// A host that was heard of once (that is within TOPO_AGAIN_NS, before its switch knew it) is forgotten after ONCE_NS,
// as Ethernet addresses usually are (IEEE 802.1D, 7.9.2: 300 s). The others stay, as long as their port has room: what
// switches carry is not heard of. On a port that is full a new host takes the place of one that was heard of once, a
// minute ago, or of one that has not been heard of for an hour.
#define TOPO_AGAIN_NS 1000000000LL
#define TOPO_ONCE_NS (300 * 1000000000LL)
#define TOPO_FULL_ONCE_NS (60 * 1000000000LL)
#define TOPO_FULL_AGAIN_NS (3600 * 1000000000LL)

#define TOPO_NAME_MAX 16

// Also of those that are gone. Plans take the square of it, and anybody can be a switch of any number.
#define TOPO_SWITCHES_MAX 2048

struct topo_token {        // of_member.c
	uint8_t mac[2][6]; // 0: none
	int64_t made_ns;
};

struct topo_port {
	uint32_t no;
	char name[TOPO_NAME_MAX + 1]; // as the switch calls it; may be empty
	uint8_t mac[6];               // that its probes come from
	uint64_t speed_bps;           // 0: not known
	bool up;
	bool inner;                 // another switch of this network is or was behind it: no host is learnt here
	bool closed;                // stays inner when probes end, until it goes down
	bool shared;                // its probes come through a bridge
	bool bridged;               // of a switch: it has or had a link to the bridge; inner until it goes down
	bool full;                  // a host was refused: it has port_hosts_max
	uint32_t n_hosts;           // learnt here
	uint32_t peer, peer_port;   // switch index and port number that its probes arrive at; TOPO_NONE: none
	int64_t since_ns;           // up, or without the link it had
	int64_t seen_ns;            // its last probe arrived; of the bridge: the link was told
	int64_t shared_ns;          // the last one came in through a bridge
	int64_t sought_ns;          // when hosts were last looked for that may give way to others
	struct topo_token token[2]; // the last one, and the one before; of the bridge: what made its link
};

struct topo_switch {
	uint64_t dpid; // of a bridge UINT64_MAX
	bool up;
	bool bridge; // it learns by itself, and has no OpenFlow session
	// set by who has its session
	int64_t gone_ns;         // when it was up last
	int64_t shut_ns;         // no session until then (of_shut.c)
	uint8_t n_shuts;         // lately
	uint8_t version;         // of OpenFlow, as on the wire
	bool no_queues;          // its datapath ignores them
	bool no_limits;          // it has neither meters nor queues for limits
	uint32_t n_lacks;        // rows of the policy that cannot be said to it
	uint32_t n_open;         // denials among them
	char lacks[160];         // why, of one of them
	struct topo_port *ports; // by number, ascending: entries do not depend on which came first
	uint32_t n_ports, cap_ports;
};

struct topo_host {
	uint8_t mac[6];
	uint32_t sw, port;         // switch index, port number
	uint32_t ip4;              // 0: not known
	int64_t since_ns, seen_ns; // learnt here or found again; heard of last
	uint32_t told_port; // of the bridge: where it was told that the host is (of_member.h); TOPO_NONE: nowhere
	int64_t told_ns;
	uint32_t next; // of the same slot
};

struct topo {
	struct topo_switch *switches; // an index is given to another dpid only if they are TOPO_SWITCHES_MAX
	uint32_t n_switches, cap_switches;
	uint32_t bridge; // the one that learns; TOPO_NONE: there is none
	struct topo_host *hosts;
	uint32_t n_hosts, cap_hosts, hosts_max;
	uint32_t port_hosts_max; // of one port; 0: any number
	int64_t aged_ns;         // topo_hosts_age looked
	uint32_t *slots;         // cap_hosts of them: first host + 1, by address
	uint64_t salt;           // of the slots: odd, and where hosts may do harm one that they do not know
	uint64_t gen;            // changes with everything that paths depend on
};

void topo_init(struct topo *t, uint32_t hosts_max);
void topo_fini(struct topo *t);

// The switch of this dpid, made when new, of TOPO_SWITCHES_MAX in the place of the one that is gone for longest.
// TOPO_NONE: out of memory, or all of them are up.
uint32_t topo_switch(struct topo *t, uint64_t dpid);
uint32_t topo_find_switch(const struct topo *t, uint64_t dpid); // TOPO_NONE: unknown, also the bridge
uint32_t topo_bridge(struct topo *t); // the bridge, made when there is none yet; TOPO_NONE: out of memory
// Down: its links and the hosts behind it are gone.
void topo_switch_up(struct topo *t, uint32_t sw, bool up);
// Sets or adds a port; down: its link and hosts are gone. 0 or -ENOMEM.
int topo_port_set(struct topo *t, uint32_t sw, uint32_t port, bool up, uint64_t speed_bps, int64_t now_ns);
void topo_port_name(struct topo *t, uint32_t sw, uint32_t port, const char *name);    // shortened; of one that is known
void topo_port_mac(struct topo *t, uint32_t sw, uint32_t port, const uint8_t mac[6]); // likewise
void topo_port_del(struct topo *t, uint32_t sw, uint32_t port);
const struct topo_port *topo_port(const struct topo *t, uint32_t sw, uint32_t port); // NULL: unknown

// A probe that left (from, from_port) arrived at (to, to_port). true: a link is new or another than it was.
bool topo_probe(struct topo *t, uint32_t from, uint32_t from_port, uint32_t to, uint32_t to_port, int64_t now_ns);
// No bridge is between this port and the other switch. When probes end, a switch may still be there and send on what it
// gets, be its session only gone: the port is then not taken for one with hosts until it was down.
void topo_port_close(struct topo *t, uint32_t sw, uint32_t port);
// A bridge is between this port and another switch: a probe came through it.
void topo_port_share(struct topo *t, uint32_t sw, uint32_t port, int64_t now_ns);
// The bridge's port leads to a port of a switch, or (part) does not any more: then the switch's takes and gets nothing
// until it was down.
void topo_join(struct topo *t, uint32_t port, uint32_t sw, uint32_t sw_port, int64_t now_ns);
void topo_part(struct topo *t, uint32_t port, int64_t now_ns);
// Forgets links not seen since TOPO_LINK_AGE_NS; true: there were some.
bool topo_age(struct topo *t, int64_t now_ns);
// The port is up, no switch of this network is behind it, and it has been so for TOPO_SETTLE_NS.
bool topo_is_edge(const struct topo_port *p, int64_t now_ns);
// The other end, if both directions were seen and both ports are up; false: no link.
bool topo_link(const struct topo *t, uint32_t sw, uint32_t port, uint32_t *peer, uint32_t *peer_port);

// A packet of this source came in here. Not on ports towards other switches. 1: new or moved (*was, if not NULL, is
// where it was; sw TOPO_NONE: new), 0: known, -ENOSPC: too many hosts, -EDQUOT: too many at this port (one that was
// elsewhere is known nowhere then), which is `full`
// from then until a fourth of it is free; -EINVAL: not a place for hosts.
int topo_host_seen(struct topo *t, const uint8_t mac[6], uint32_t sw, uint32_t port, int64_t now_ns,
		   struct topo_host *was);
struct topo_host *topo_host(const struct topo *t, const uint8_t mac[6]); // NULL: unknown
void topo_host_forget(struct topo *t, struct topo_host *host);           // the last one of all takes its place

// The part of the network that each switch is in, by the lowest index in it: between two parts there is no link. part
// has n_switches entries.
void topo_parts(const struct topo *t, uint32_t *part);

// Forgets hosts of switches that were heard of once, long ago. Looks every 10 s.
void topo_hosts_age(struct topo *t, int64_t now_ns);

#define TOPO_FAR UINT16_MAX

// Links on the shortest way from each switch to switch `to`, TOPO_FAR: there is none. dist has n_switches entries.
// -ENOMEM.
int topo_distances(const struct topo *t, const uint32_t *tree, uint32_t to, uint16_t *dist);
// A bridge is in the link of this port.
bool topo_is_shared(const struct topo *t, uint32_t sw, uint32_t port);
// Whether frames to hosts of switch `to` may leave by this port, of a link. A bridge in a link has learnt hosts from
// floods, so through it only what goes the way of the tree arrives. For the bridge that is a switch see above.
bool topo_leads(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t port, uint32_t to);
// The switch beside the bridge on the way of the tree from sw to it: its side. The bridge itself for the bridge;
// TOPO_NONE: there is no bridge, or no such way.
uint32_t topo_side(const struct topo *t, const uint32_t *tree, uint32_t sw);
// A spanning forest: true for ports of links on it.
bool topo_on_tree(const struct topo *t, const uint32_t *tree, uint32_t sw, uint32_t port);
// Fills tree for topo_on_tree: the port of each switch towards its root, TOPO_NONE: a root. Links that both ends keep
// (NULL: none) are on it, but for what would close a loop; the others are taken breadth first from the lowest dpid of
// each part; a link to or through a bridge comes before all, as hosts may be on it. So a tree of which some links were
// lost and the tree that takes its place make no loop together. 0 or -ENOMEM.
int topo_tree(const struct topo *t, bool (*keeps)(void *ctx, uint32_t sw, uint32_t port), void *ctx, uint32_t *tree);
