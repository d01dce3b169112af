// SPDX-License-Identifier: Apache-2.0
// The link between controller and dataplane: framed messages over a Unix stream socket, bytes <-> structs, no sockets.
// The one dataplane header that control/ shares. Thread: any, values only.
//
// Frame: u32 length of what follows (little-endian, as every number), u16 type, body. At most PROTO_FRAME_MAX bytes.
//
// What is sent are the rows of the policy's parts (hft/parts.h): a row for each box of a request, the categories that
// keep rows apart chosen by the controller; the nodes (shares) that rows name, so that the dataplane knows who is below
// whom and who divides by weight; and the meters (reservations, limits).
//
// Session. The dataplane listens, the controller connects; a new session replaces the old one.
//   controller: HELLO        dataplane: HELLO, PORT..., HAVE_ROW..., HAVE_NODE..., HAVE_METER..., HAVE_END
//   controller: ROW_ADD / ROW_DEL / NODE_SET / NODE_DEL / METER_SET / METER_DEL ..., COMMIT n
//   dataplane:  IN_FORCE n at T | COMMIT_FAILED n why; PORT, HOST when one changes; COUNTERS, ROW_COUNTS, QUEUES every
//   second controller: TRACE t      dataplane: TRACED t, at any time after HAVE_END
// Invariants:
//   L1 nothing sent before COMMIT shows on packets before it, all of it shows at once after it.
//   L2 a session that ends between changes and COMMIT leaves the committed table as it was.
//   L3 rows, nodes and meters outlive sessions: without a controller the dataplane goes on, starting and ending rows on
//      time.
//   L4 after HAVE_END the controller knows the committed table exactly and sends only differences; it takes over the
//      categories that rows have there. It commits even without any when the dataplane's HELLO says last_txn 0: nothing
//      is forwarded before a first COMMIT.
//   L5 rows are named by part_row_key (content without categories), nodes by share number, meters by request number.
//      Adding a row that is there, deleting a node or meter that is not, moving a node that is there, or leaving a row
//      or node that lacks its node, parent or meter (of its kind), is an error in the peer: the commit fails as a whole
//      and the last good table stays. Node 0, the root, is always there and never sent.
//   L6 a row is gone when its end passes, on both sides and without a message: the controller counts on no row that is
//      over and sends none. So that clocks need not agree, ROW_DEL of an unknown row is ignored (and counted), and
//      ROW_ADD of a row that is over has no effect. Nodes and meters stay until they are deleted.
//   L7 each COMMIT is answered once and in order, unless its session ends first. Several COMMITs that wait may come
//      into force, or fail to, together.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hft/action.h"
#include "hft/err.h"
#include "hft/parts.h"

#define PROTO_VERSION 5
#define PROTO_FRAME_MAX 4096
#define PROTO_NAME_MAX 32
#define PROTO_TEXT_MAX 256
#define PROTO_WEIGHT_MAX 1000
#define PROTO_METERS_MAX 65536 // that may be active at once

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_ROW_ADD,
	PROTO_ROW_DEL,
	PROTO_NODE_SET,
	PROTO_NODE_DEL,
	PROTO_METER_SET,
	PROTO_METER_DEL,
	PROTO_COMMIT,
	PROTO_IN_FORCE,
	PROTO_COMMIT_FAILED,
	PROTO_HAVE_ROW,
	PROTO_HAVE_NODE,
	PROTO_HAVE_METER,
	PROTO_HAVE_END,
	PROTO_PORT,
	PROTO_HOST,
	PROTO_COUNTERS,
	PROTO_ROW_COUNTS,
	PROTO_TRACE,
	PROTO_TRACED,
	PROTO_QUEUES,
	PROTO_CAPTURE,
	PROTO_CAPTURED, // the last
};

enum proto_meter_kind {
	PROTO_METER_RESERVATION = 1,
	PROTO_METER_LIMIT = 2,
};

struct proto_hello {
	uint32_t version;
	uint64_t boot_id;  // random per process start: tells a restarted peer from a reconnected one
	uint64_t last_txn; // dataplane: last transaction in force; controller: 0
};

struct proto_have_row {
	uint64_t key;
	uint8_t access_category, meter_category;
};

struct proto_node {
	uint32_t number, parent; // shares
	uint16_t depth;
	uint16_t weight; // part of the excess among its siblings, 1..PROTO_WEIGHT_MAX; 0: it divides with nobody
};

struct proto_meter {
	uint64_t id; // request number
	uint64_t rate_bps;
	uint32_t kind; // enum proto_meter_kind
};

struct proto_commit {
	uint64_t txn;
	int64_t time_ns;          // IN_FORCE: when the workers had it, ns since the epoch
	char why[PROTO_TEXT_MAX]; // COMMIT_FAILED
};

struct proto_port {
	uint16_t port;
	uint8_t up;
	uint8_t mac[6];
	uint64_t rate_bps;         // 0: not configured
	char name[PROTO_NAME_MAX]; // empty: there is no such port any more
	char device[PROTO_NAME_MAX * 2];
};

#define PROTO_NO_PORT UINT16_MAX

// A host as its frames show it: one message for each address. Seen again elsewhere: the newest holds.
struct proto_host {
	uint16_t port; // where; PROTO_NO_PORT: not seen for long
	uint16_t vlan;
	uint8_t mac[6];
	uint8_t kinds;   // of addr: MATCH_KINDS_V4 or MATCH_KINDS_V6; 0: no address is known (addr is 0)
	u128 addr;       // as in hft/match.h
	uint64_t age_ns; // since it was seen there: who hears of it late knows what came after
};

// Addresses that the controller makes up begin so: frames from them show which port leads to a switch (of_member.h).
// Anybody can send such frames: they have room of their own, for each port, and there the latest ones are kept.
#define PROTO_MADE_UP UINT64_C(0x0650)            // the first two bytes
#define PROTO_MADE_UP_MAX 16                      // of one port
static inline bool proto_is_made_up(uint64_t mac) // 48 bits
{
	return mac >> 32 == PROTO_MADE_UP;
}

#define PROTO_COUNTERS_MAX 64
// One port's counters in the order of counters.def; PROTO_NO_PORT: figures.def, which belong to none.
struct proto_counters {
	uint16_t port;
	uint16_t n;
	uint64_t value[PROTO_COUNTERS_MAX];
};

#define PROTO_ROW_COUNTS_MAX 64
// What the rows of a request decided about, since the dataplane started; a packet counts once for each request. Only
// requests whose numbers changed. Numbers begin at 0 again when all rows of a request were gone.
struct proto_row_counts {
	uint16_t n;
	struct proto_row_count {
		uint64_t id; // request number
		uint64_t packets, bytes;
	} count[PROTO_ROW_COUNTS_MAX];
};

// What would become of this packet? Time, and the users, of packet are ignored: it is now, and nobody.
struct proto_trace {
	uint32_t number; // of the question, comes back
	uint16_t port;   // where it would leave, PROTO_NO_PORT: not known
	struct match_packet packet;
};

#define PROTO_TRACED_ROWS_MAX 96
struct proto_traced_row {
	uint64_t key, id;
	uint32_t node;
	uint8_t part, access, access_category, meter_category;
	uint8_t layer; // where it was found: enum proto_layer
	uint8_t layer_idx;
};

enum proto_layer {
	PROTO_LAYER_ARRAY, // rows compared one by one
	PROTO_LAYER_TRIE,  // a small context over the base
	PROTO_LAYER_BASE,
	PROTO_N_LAYERS,
};

struct proto_traced {
	uint32_t number;
	uint32_t gen; // of the snapshot
	uint8_t drop;
	uint32_t node;                     // that its queue belongs to, 0: the root
	uint32_t queue;                    // class slot at the port, UINT32_MAX: none yet, or no port
	struct idset reservations, limits; // that its queue draws on
	uint16_t n_rows; // that matched and no other row of their category hid; those beyond the maximum are left out
	struct proto_traced_row row[PROTO_TRACED_ROWS_MAX];
};

#define PROTO_QUEUES_MAX 16
#define PROTO_QUEUE_DROPS 4                // full, no buffers, waited too long, policed: as enum sched_drop
#define PROTO_QUEUE_PERCENTILES 3          // 50, 99, 100
#define PROTO_QUEUE_BACKGROUND UINT32_MAX  // as a node: what hints call background
#define PROTO_QUEUE_PLACE ((1U << 17) - 1) // low bits of a queue's number, by which a round is in order
// The queues of a port, in several messages; the last of a round has the
// port's own. A queue that a round has left out is gone. Sums begin at 0 with a queue.
struct proto_queues {
	uint16_t port;
	uint8_t n;
	uint8_t is_end; // the round is complete
	struct proto_port_queues {
		uint32_t n_queues, n_queues_max;
		uint64_t pool_full;    // packets' sets for which there was no queue
		uint64_t promised_bps; // all reservations there are
		uint64_t held_back_us; // time by which promises are behind, summed up: more is wanted than the port has
	} of_port;                     // is_end
	struct proto_queue {
		uint32_t number;                   // never used again soon
		uint32_t node;                     // share number, 0: the root, or PROTO_QUEUE_BACKGROUND
		struct idset reservations, limits; // request numbers
		uint64_t packets, bytes;           // sent
		uint64_t dropped[PROTO_QUEUE_DROPS], dropped_bytes, marked;
		uint64_t backlog_packets, backlog_bytes;    // now
		uint32_t delay_us[PROTO_QUEUE_PERCENTILES]; // of what was sent since it was told before
		uint64_t time_ns;                           // when it was so, by a steady clock
	} queue[PROTO_QUEUES_MAX];
};

#define PROTO_CAPTURE_BOXES 8
#define PROTO_CAPTURE_BYTES 1600
// Frames that come in and are of these boxes are to be told from now on, n_frames of them; those asked for before are
// not. Answered by a CAPTURED without a frame when it is so.
struct proto_capture {
	uint32_t number;   // comes back; 0: is not answered
	uint32_t n_frames; // 0: no more
	uint16_t n_boxes;
	struct box box[PROTO_CAPTURE_BOXES]; // without users and time
};

struct proto_captured {
	uint32_t number;
	uint32_t n_missed;  // so far: there was no room for them
	int64_t time_ns;    // since the epoch
	uint32_t len_bytes; // of the frame
	uint16_t port, n;   // n: bytes of it that are here; 0: what was asked for is so now
	uint8_t data[PROTO_CAPTURE_BYTES];
};

struct proto_msg {
	enum proto_type type;
	union {
		struct proto_hello hello;
		struct part_row row; // ROW_ADD
		uint64_t row_key;    // ROW_DEL
		struct proto_have_row have_row;
		struct proto_node node;   // NODE_SET, HAVE_NODE; NODE_DEL: number only
		struct proto_meter meter; // METER_SET, HAVE_METER; METER_DEL: id only
		struct proto_commit commit;
		struct proto_port port;
		struct proto_host host;
		struct proto_counters counters;
		struct proto_row_counts row_counts;
		struct proto_trace trace;
		struct proto_traced traced;
		struct proto_queues queues;
		struct proto_capture capture;
		struct proto_captured captured;
	};
};

// Bytes written to buf (PROTO_FRAME_MAX is always enough), the length field included.
size_t proto_encode(const struct proto_msg *msg, uint8_t *buf);
// One frame from buf[0..len): bytes used, 0 if the frame is not complete yet, -EPROTO with the reason in err.
// Strict: every length, enum and span is checked; a decoded row's box is normalised and not empty, and it has
// categories that its part and access ask for. Only the member of msg that its type names is written.
int proto_decode(const uint8_t *buf, size_t len, struct proto_msg *msg, struct err *err);
