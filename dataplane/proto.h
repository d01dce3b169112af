// SPDX-License-Identifier: Apache-2.0
// The link between controller and dataplane: framed messages over a Unix stream socket, bytes <-> structs, no sockets.
// The one dataplane header that control/ shares. Thread: any, values only.
//
// Frame: u32 length of what follows (little-endian, as every number), u16 type, body. At most PROTO_FRAME_MAX bytes.
//
// Session. The dataplane listens, the controller connects; a new session replaces the old one.
//   controller: HELLO                     dataplane: HELLO, PORT..., HAVE_ROW..., HAVE_METER..., HAVE_END
//   controller: ROW_ADD / ROW_DEL / METER_SET / METER_DEL ..., COMMIT n
//   dataplane:  IN_FORCE n at T | COMMIT_FAILED n why; PORT when one changes; COUNTERS every second
// Invariants:
//   L1 nothing sent before COMMIT shows on packets before it, all of it shows at once after it.
//   L2 a session that ends between changes and COMMIT leaves the committed table as it was.
//   L3 rows and meters outlive sessions: without a controller the dataplane goes on, starting and ending rows on time.
//   L4 after HAVE_END the controller knows the committed table exactly and sends only differences. It commits even
//      without any when the dataplane's HELLO says last_txn 0: nothing is forwarded before a first COMMIT.
//   L5 rows are named by row_key (content), meters by request number. Adding a row that is there, deleting a meter that
//      is not, or leaving a row whose reservations and limits lack their meters (of that kind) is an error in the peer:
//      the commit fails as a whole and the last good table stays.
//   L6 a row is gone when its end passes, on both sides and without a message: the controller counts on no row that is
//      over and sends none. So that clocks need not agree, ROW_DEL of an unknown row is ignored (and counted), and
//      ROW_ADD of a row that is over has no effect. Meters stay until METER_DEL.
//   L7 each COMMIT is answered once and in order, unless its session ends first. Several COMMITs that wait may come
//   into
//      force, or fail to, together.
#pragma once
#include <stddef.h>
#include <stdint.h>

#include "hft/err.h"
#include "hft/flowtab.h"

#define PROTO_VERSION 1
#define PROTO_FRAME_MAX 4096
#define PROTO_NAME_MAX 32
#define PROTO_TEXT_MAX 256

enum proto_type {
	PROTO_HELLO = 1,
	PROTO_ROW_ADD,
	PROTO_ROW_DEL,
	PROTO_METER_SET,
	PROTO_METER_DEL,
	PROTO_COMMIT,
	PROTO_IN_FORCE,
	PROTO_COMMIT_FAILED,
	PROTO_HAVE_ROW,
	PROTO_HAVE_METER,
	PROTO_HAVE_END,
	PROTO_PORT,
	PROTO_COUNTERS,
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
	uint64_t rate_bps; // 0: not configured
	char name[PROTO_NAME_MAX];
	char device[PROTO_NAME_MAX * 2];
};

#define PROTO_COUNTERS_MAX 64
// One port's counters in the order of counters.def; port 0xffff: counters that belong to no port.
struct proto_counters {
	uint16_t port;
	uint16_t n;
	uint64_t value[PROTO_COUNTERS_MAX];
};

struct proto_msg {
	enum proto_type type;
	union {
		struct proto_hello hello;
		struct row row;           // ROW_ADD
		uint64_t row_key;         // ROW_DEL, HAVE_ROW
		struct proto_meter meter; // METER_SET, HAVE_METER; METER_DEL: id only
		struct proto_commit commit;
		struct proto_port port;
		struct proto_counters counters;
	};
};

// Bytes written to buf (PROTO_FRAME_MAX is always enough), the length field included.
size_t proto_encode(const struct proto_msg *msg, uint8_t *buf);
// One frame from buf[0..len): bytes used, 0 if the frame is not complete yet, -EPROTO with the reason in err.
// Strict: every length, enum and span is checked; a decoded row's box is normalised and not empty.
int proto_decode(const uint8_t *buf, size_t len, struct proto_msg *msg, struct err *err);
