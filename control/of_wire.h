// SPDX-License-Identifier: Apache-2.0
// OpenFlow 1.0 and 1.3 messages, bytes <-> structs, no sockets (OpenFlow Switch Specification 1.0.0 and 1.3.5).
// One set of structs serves both versions: ports have 32 bits (1.0's reserved 0xfff8..0xffff are 0xfffffff8..), actions
// and matches are what both can say or what 1.3 adds. What a version cannot say is an error of the encoder, never left
// out silently. Thread: any, values only. Numbers in host byte order, addresses as on the wire.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"

#define OF_VERSION_10 0x01
#define OF_VERSION_13 0x04
#define OF_HEADER_BYTES 8
#define OF_MSG_MAX 65535 // the length field has 16 bits
#define OF_ACTIONS_MAX 64
#define OF_BUCKETS_MAX 16
#define OF_BANDS_MAX 4
#define OF_NAME_MAX 16
#define OF_NO_BUFFER UINT32_MAX
#define OF_TABLE_ALL 0xff
#define OF_GROUP_ANY UINT32_MAX

enum of_port_no {
	OF_PORT_MAX = 0xffffff00U,
	OF_PORT_IN_PORT = 0xfffffff8U,
	OF_PORT_TABLE = 0xfffffff9U,
	OF_PORT_NORMAL = 0xfffffffaU,
	OF_PORT_FLOOD = 0xfffffffbU,
	OF_PORT_ALL = 0xfffffffcU,
	OF_PORT_CONTROLLER = 0xfffffffdU,
	OF_PORT_LOCAL = 0xfffffffeU,
	OF_PORT_ANY = 0xffffffffU, // 1.0: OFPP_NONE
};

// Versions number their messages differently from 18 on: this is neither's numbering.
enum of_type {
	OF_HELLO,
	OF_ERROR,
	OF_ECHO_REQUEST,
	OF_ECHO_REPLY,
	OF_EXPERIMENTER, // vendor; body kept as bytes
	OF_FEATURES_REQUEST,
	OF_FEATURES_REPLY,
	OF_GET_CONFIG_REQUEST,
	OF_GET_CONFIG_REPLY,
	OF_SET_CONFIG,
	OF_PACKET_IN,
	OF_FLOW_REMOVED,
	OF_PORT_STATUS,
	OF_PACKET_OUT,
	OF_FLOW_MOD,
	OF_GROUP_MOD, // 1.3
	OF_METER_MOD, // 1.3
	OF_MULTIPART_REQUEST,
	OF_MULTIPART_REPLY,
	OF_BARRIER_REQUEST,
	OF_BARRIER_REPLY,
	OF_QUEUE_GET_CONFIG_REQUEST,
	OF_QUEUE_GET_CONFIG_REPLY,
	OF_ROLE_REQUEST, // 1.3
	OF_ROLE_REPLY,   // 1.3
	OF_N_TYPES,
};

enum of_match_has {
	OF_HAS_IN_PORT = 1 << 0,
	OF_HAS_ETH_DST = 1 << 1,
	OF_HAS_ETH_SRC = 1 << 2,
	OF_HAS_ETH_TYPE = 1 << 3,
	OF_HAS_VLAN = 1 << 4,
	OF_HAS_VLAN_PCP = 1 << 5,
	OF_HAS_IP_DSCP = 1 << 6,
	OF_HAS_IP_PROTO = 1 << 7,
	OF_HAS_IP4_SRC = 1 << 8,
	OF_HAS_IP4_DST = 1 << 9,
	OF_HAS_L4_SRC = 1 << 10, // of the IP protocol in the match: TCP, UDP or SCTP
	OF_HAS_L4_DST = 1 << 11,
	OF_HAS_ICMP_TYPE = 1 << 12, // ICMP or ICMPv6, by the IP protocol in the match
	OF_HAS_ICMP_CODE = 1 << 13,
	OF_HAS_ARP_OP = 1 << 14,
	OF_HAS_ARP_SPA = 1 << 15,
	OF_HAS_ARP_TPA = 1 << 16,
	OF_HAS_IP6_SRC = 1 << 17,
	OF_HAS_IP6_DST = 1 << 18,
};

#define OF_VLAN_NONE 0xffff  // without a tag
#define OF_VLAN_ANY 0xfffe   // with any tag (1.3)
#define OF_VLAN_UPPER 0xfffd // with a tag of 2048 or more (1.3)

// Masks: one bits are compared. In 1.0 Ethernet addresses have none and IPv4 ones are prefixes. Masks of ports are
// beyond 1.3 but Open vSwitch takes them in OXM.
struct of_match {
	uint32_t has; // enum of_match_has; the other fields are zero
	uint32_t in_port;
	uint8_t eth_dst[6], eth_dst_mask[6], eth_src[6], eth_src_mask[6];
	uint16_t eth_type;
	uint16_t vlan; // 0..4095, or OF_VLAN_*
	uint8_t vlan_pcp, ip_dscp, ip_proto;
	uint8_t icmp_type, icmp_code, zero; // zero: no padding, so that bytes tell matches apart
	uint16_t arp_op;
	uint32_t ip4_src, ip4_src_mask, ip4_dst, ip4_dst_mask; // also ARP's addresses
	uint8_t ip6_src[16], ip6_src_mask[16], ip6_dst[16], ip6_dst_mask[16];
	uint16_t l4_src, l4_src_mask, l4_dst, l4_dst_mask;
};

enum of_action_type {
	OF_ACT_OUTPUT,    // port, max_len
	OF_ACT_QUEUE,     // 1.3 set_queue: queue
	OF_ACT_ENQUEUE,   // 1.0: port, queue
	OF_ACT_GROUP,     // 1.3: group
	OF_ACT_ETH_DST,   // eth
	OF_ACT_ETH_SRC,   // eth
	OF_ACT_PUSH_VLAN, // 1.3: 0x8100
	OF_ACT_POP_VLAN,  // 1.0: strip
	OF_ACT_VLAN,      // vlan; 1.0 also pushes the tag
};

struct of_action {
	uint8_t type; // enum of_action_type
	uint16_t max_len, vlan;
	uint32_t port, queue, group;
	uint8_t eth[6];
};

enum of_flow_command {
	OF_FLOW_ADD,
	OF_FLOW_MODIFY,
	OF_FLOW_MODIFY_STRICT,
	OF_FLOW_DELETE,
	OF_FLOW_DELETE_STRICT,
};

enum of_flow_flags {
	OF_FLOW_SEND_REMOVED = 1 << 0,
	OF_FLOW_CHECK_OVERLAP = 1 << 1,
};

// What a flow entry does. 1.0 has actions only.
struct of_instructions {
	uint32_t meter;     // 1.3; 0: none
	uint8_t goto_table; // 1.3; OF_TABLE_ALL: none
	bool write;         // 1.3: the actions are written, not applied
	uint8_t n_actions;
	struct of_action actions[OF_ACTIONS_MAX];
};

struct of_flow_mod {
	struct of_match match;
	uint64_t cookie, cookie_mask; // the mask: 1.3, of modify and delete
	uint8_t table, command;       // table: 1.3
	uint16_t idle_s, hard_s, priority, flags;
	uint32_t buffer_id, out_port, out_group; // OF_PORT_ANY, OF_GROUP_ANY: any
	struct of_instructions instructions;
};

struct of_flow_removed {
	struct of_match match;
	uint64_t cookie, packets, bytes;
	uint16_t priority, idle_s, hard_s;
	uint8_t reason, table; // 0 idle, 1 hard, 2 delete, 3 group delete
	uint32_t duration_s, duration_ns;
};

struct of_packet_in {
	uint32_t buffer_id, in_port;
	uint64_t cookie; // 1.3
	uint16_t total_len;
	uint8_t reason, table;
	const uint8_t *data; // borrowed from the bytes decoded
	uint16_t data_len;
};

struct of_packet_out {
	uint32_t buffer_id, in_port;
	uint8_t n_actions;
	struct of_action actions[OF_ACTIONS_MAX];
	const uint8_t *data; // borrowed
	uint16_t data_len;
};

enum of_port_flags {
	OF_PORT_DOWN = 1 << 0,      // config: switched off
	OF_PORT_LINK_DOWN = 1 << 1, // state
	OF_PORT_BLOCKED = 1 << 2,   // state
};

struct of_port {
	uint32_t no;
	uint8_t mac[6];
	char name[OF_NAME_MAX + 1];
	uint32_t flags;                                // enum of_port_flags
	uint32_t current, advertised, supported, peer; // features, as 1.3's bits
	uint64_t speed_bps, max_speed_bps;             // 0: not known (1.0: from the feature bits)
};

enum of_capabilities {
	OF_CAN_GROUPS = 1 << 3, // 1.3: statistics of groups
};

struct of_features {
	uint64_t dpid;
	uint32_t n_buffers, capabilities; // enum of_capabilities
	uint8_t n_tables, auxiliary;      // auxiliary: 1.3
	uint32_t actions;                 // 1.0
	uint16_t n_ports;                 // 1.0: of_port_next reads them
};

struct of_port_status {
	uint8_t reason; // 0 add, 1 delete, 2 modify
	struct of_port port;
};

enum of_error_type {
	OF_ERROR_BAD_ACTION = 2,
	OF_ERROR_GROUP_MOD = 6,  // 1.3
	OF_ERROR_METER_MOD = 12, // 1.3; also of an entry that names a meter which is not there
};

#define OF_BAD_OUT_GROUP 9 // code of OF_ERROR_BAD_ACTION
#define OF_UNKNOWN_METER 3 // code of OF_ERROR_METER_MOD

enum of_group_mod_error { // codes of OF_ERROR_GROUP_MOD
	OF_GROUP_EXISTS = 0,
	OF_GROUP_NO_ROOM = 3,
	OF_GROUP_UNKNOWN = 8,
};

struct of_error {
	uint16_t type, code;
	const uint8_t *data; // borrowed: the start of the message it is about
	uint16_t data_len;
};

enum of_group_type {
	OF_GROUP_FULL, // "all"
	OF_GROUP_SELECT,
	OF_GROUP_INDIRECT,
	OF_GROUP_FAST_FAILOVER,
	OF_GROUP_UNREAD = 0xff, // in a description: it has buckets that these structs cannot hold
};

struct of_bucket {
	uint16_t weight;
	uint32_t watch_port, watch_group;
	uint8_t n_actions;
	struct of_action actions[4];
};

struct of_group_mod {
	uint16_t command; // 0 add, 1 modify, 2 delete
	uint8_t type, n_buckets;
	uint32_t group;
	struct of_bucket buckets[OF_BUCKETS_MAX];
};

struct of_band {
	bool remark; // else drop
	uint8_t prec_level;
	uint32_t rate, burst;
};

enum of_meter_flags {
	OF_METER_KBPS = 1 << 0,
	OF_METER_PKTPS = 1 << 1,
	OF_METER_BURST = 1 << 2,
	OF_METER_STATS = 1 << 3,
};

struct of_meter_mod {
	uint16_t command, flags; // 0 add, 1 modify, 2 delete
	uint32_t meter;
	uint8_t n_bands;
	struct of_band bands[OF_BANDS_MAX];
};

enum of_multipart {
	OF_MP_DESC = 0,
	OF_MP_FLOW = 1,
	OF_MP_AGGREGATE = 2,
	OF_MP_TABLE = 3,
	OF_MP_PORT_STATS = 4,
	OF_MP_QUEUE = 5,
	OF_MP_GROUP_DESC = 7,
	OF_MP_GROUP_FEATURES = 8,
	OF_MP_METER = 9,
	OF_MP_METER_CONFIG = 10,
	OF_MP_METER_FEATURES = 11,
	OF_MP_TABLE_FEATURES = 12, // body kept as bytes
	OF_MP_PORT_DESC = 13,
};

// A request has the selecting fields, a reply its body as bytes, read entry by entry with of_mp_next.
struct of_mp {
	uint16_t kind; // enum of_multipart
	bool more;     // reply: another message of the same xid follows
	struct of_match match;
	uint8_t table;
	uint32_t out_port, out_group, port, queue, meter, group;
	uint64_t cookie, cookie_mask;
	const uint8_t *body; // reply: borrowed
	uint16_t body_len;
};

struct of_queue_config { // the request's port, the reply's body
	uint32_t port;
	const uint8_t *body;
	uint16_t body_len;
};

struct of_msg {
	uint8_t version;
	uint8_t type; // enum of_type
	uint32_t xid;
	union {
		struct {
			uint32_t versions; // bit n: version n is spoken; 0: not told (the header's and all below)
		} hello;
		struct of_error error;
		struct { // echo, experimenter: borrowed
			const uint8_t *data;
			uint16_t data_len;
		} raw;
		struct of_features features;
		struct {
			uint16_t flags, miss_send_len;
		} config;
		struct of_packet_in packet_in;
		struct of_packet_out packet_out;
		struct of_flow_mod flow_mod;
		struct of_flow_removed flow_removed;
		struct of_port_status port_status;
		struct of_group_mod group_mod;
		struct of_meter_mod meter_mod;
		struct of_mp mp;
		struct of_queue_config queue_config;
		struct {
			uint32_t role; // 0 no change, 1 equal, 2 master, 3 slave
			uint64_t generation;
		} role;
	};
	const uint8_t *bytes; // of_decode: the whole message, borrowed
	uint16_t len;
};

// Bytes written to buf, or -EINVAL (the version has no such thing, named in err) or -EMSGSIZE. Messages that only a
// switch sends can be encoded as well: tests and benchmarks play one. Multipart replies and features replies of 1.0
// are given with their body as bytes.
int of_encode(const struct of_msg *msg, uint8_t *buf, size_t size, struct err *err);

// Length of the message that starts at buf, 0: fewer than 8 bytes are there. -EPROTO: a length that cannot be.
int of_frame(const uint8_t *buf, size_t len, struct err *err);
// One whole message of exactly len bytes. 0, or -EPROTO with the reason. Strict: every length is checked, every byte
// is accounted for; an unknown type or a version other than those two is an error (of a hello any version is taken).
int of_decode(const uint8_t *buf, size_t len, struct of_msg *out, struct err *err);

// One entry of a multipart reply. Strings end in NUL.
struct of_desc {
	char manufacturer[257], hardware[257], software[257], serial[33], datapath[257];
};

struct of_flow_stats {
	struct of_match match;
	struct of_instructions instructions;
	uint64_t cookie, packets, bytes;
	uint32_t duration_s, duration_ns;
	uint16_t priority, idle_s, hard_s, flags;
	uint8_t table;
};

struct of_port_stats {
	uint32_t port;
	uint64_t rx_packets, tx_packets, rx_bytes, tx_bytes, rx_dropped, tx_dropped, rx_errors, tx_errors;
};

struct of_queue_stats {
	uint32_t port, queue;
	uint64_t tx_bytes, tx_packets, tx_errors;
};

struct of_table_stats {
	uint8_t table;
	uint32_t active;
	uint64_t lookups, matched;
};

struct of_meter_config {
	uint32_t meter;
	uint16_t flags;
	uint8_t n_bands;
	struct of_band bands[OF_BANDS_MAX];
};

struct of_meter_features {
	uint32_t max_meters, band_types, capabilities;
	uint8_t max_bands;
};

struct of_group_features {
	uint32_t types; // bits by enum of_group_type
	uint32_t capabilities;
	uint32_t max_groups[4], actions[4]; // by type
};

union of_mp_entry {
	struct of_desc desc;
	struct of_flow_stats flow;
	struct of_port_stats port_stats;
	struct of_queue_stats queue;
	struct of_table_stats table;
	struct of_port port;
	struct of_meter_config meter_config;
	struct of_meter_features meter_features;
	struct of_group_mod group; // of GROUP_DESC: command is 0
	struct of_group_features group_features;
};

// The entry at *at (0 first), which moves on. 1: out is filled; 0: no more; -EPROTO with err. Kinds without an entry
// above (aggregate, meter, table features) are skipped as a whole: 0.
int of_mp_next(const struct of_msg *reply, uint16_t *at, union of_mp_entry *out, struct err *err);
// The ports of a features reply of 1.0, likewise.
int of_features_port_next(const struct of_msg *reply, uint16_t *at, struct of_port *out, struct err *err);
