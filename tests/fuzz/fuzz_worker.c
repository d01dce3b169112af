// SPDX-License-Identifier: Apache-2.0
// Any bytes as frames through three workers with a policy in force: parsed, classified, captured, denied, handed over,
// scheduled, flooded. Links flap, rings fill, time passes. Each frame lies in memory of its own length. In the end
// every frame is in exactly one counter.
//
// The input is a list: a byte says port (0 to 2) and how (bits of enum how), a byte says how many bytes of the frame
// follow. Port 3 is none: the byte after it says what happens (enum event).
#include "tests/unit/dataplane/net_fixture.h"

#define WORKERS 3
#define PORTS 3
#define FRAMES_MAX 64 // of an input
#define LONGER 100    // bytes of zero behind the frame, times the upper bits
#define LIMIT_BPS 2000000

enum how {
	HOW_IN_TWO = 4, // segments
	HOW_TURN = 8,   // at once
	HOW_LONGER = 4, // bits above
};

enum event {
	EVENT_MS,
	EVENT_DOWN,
	EVENT_UP,
	EVENT_CAPTURE,
	EVENT_NO_CAPTURE,
	EVENT_DRAIN,
	EVENT_SECONDS,
	EVENT_TAKE,
	EVENT_N,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct net net;

static struct box by_port(uint64_t lo, uint64_t hi)
{
	struct box box = box_any();

	box.kinds = MATCH_KINDS_PORTS;
	box.f[MATCH_DST_PORT] = (struct span){lo, hi};
	return box;
}

static struct box by_vlan(uint64_t vlan)
{
	struct box box = box_any();

	box.f[MATCH_VLAN] = (struct span){vlan, vlan};
	return box;
}

static struct box by_kinds(uint32_t kinds, uint8_t proto)
{
	struct box box = box_any();

	box.kinds = kinds;
	box.f[MATCH_PROTO] = (struct span){proto, proto};
	return box;
}

static void publish(void)
{
	const struct box boxes[] = {by_port(53, 53),
				    by_vlan(20),
				    by_kinds(MATCH_KINDS_IP, 89),
				    by_port(80, 81),
				    by_kinds(MATCH_KINDS_V6, 17),
				    by_port(443, 500),
				    by_kinds(MATCH_KINDS_V4, 6)};
	const struct net_meter meters[] = {
		{4, LIMIT_BPS, true}, {5, LIMIT_BPS, false}, {6, LIMIT_BPS, true}, {7, 4 * LIMIT_BPS, false}};
	struct part_row rows[RTE_DIM(boxes)];

	for (uint32_t i = 0; i < RTE_DIM(boxes); i++) {
		rows[i] = i < 3 ? net_row(&boxes[i], i + 1, ACCESS_DENY)
				: net_meter_row(&boxes[i], i + 1, i % 2 == 1 ? PART_LIMIT : PART_RESERVE);
		if (!box_normalize(&rows[i].box))
			abort();
		if (i < 3)
			rows[i].access_category = (uint8_t)i;
		else
			rows[i].meter_category = (uint8_t)i;
	}
	net_publish(&net, rows, RTE_DIM(boxes), meters, RTE_DIM(meters));
}

static void start_once(void)
{
	if (net.all != NULL)
		return;
	test_eal_init();
	net_drops_fragments = getenv("PANE_DROP_FRAGMENTS") != NULL;
	net_open_many(&net, WORKERS, PORTS, NULL, NET_HZ, 10 * LIMIT_BPS, 1023);
	publish();
}

// --- frames

static void free_bytes(void *bytes, void *shared)
{
	free(bytes);
	free(shared);
}

static struct rte_mbuf *segment(const uint8_t *data, size_t n, size_t n_zero)
{
	struct rte_mbuf_ext_shared_info *shared = malloc(sizeof(*shared));
	struct rte_mbuf *m = rte_pktmbuf_alloc(net.pool);
	uint8_t *bytes = calloc(1, n + n_zero + 1);

	if (shared == NULL || m == NULL || bytes == NULL)
		abort();
	bytes = realloc(bytes, n + n_zero > 0 ? n + n_zero : 1);
	memcpy(bytes, data, n);
	*shared = (struct rte_mbuf_ext_shared_info){.free_cb = free_bytes, .fcb_opaque = shared};
	rte_mbuf_ext_refcnt_set(shared, 1);
	rte_pktmbuf_attach_extbuf(m, bytes, 0, (uint16_t)(n + n_zero), shared);
	m->data_len = (uint16_t)(n + n_zero);
	m->pkt_len = m->data_len;
	return m;
}

static void inject(uint8_t how, const uint8_t *data, size_t n)
{
	size_t n_zero = (size_t)(how >> HOW_LONGER) * LONGER,
	       first = (how & HOW_IN_TWO) != 0 && n > 1 ? data[0] % n : n;
	struct rte_mbuf *m;

	m = segment(data, first, first == n ? n_zero : 0);
	if (first < n && rte_pktmbuf_chain(m, segment(data + first, n - first, n_zero)) < 0)
		abort();
	if (rte_ring_enqueue(net.rx[how & 3], m) != 0)
		rte_pktmbuf_free(m);
}

// --- what happens

static void turn(uint64_t ticks)
{
	net.now_tsc += ticks;
	net_turn(&net);
}

static void drain(void)
{
	for (uint16_t p = 0; p < PORTS; p++)
		net_drain(net.tx[p]);
}

static void take_captured(void)
{
	static struct workers_captured copy;

	while (workers_next_captured(net.all, &copy)) {
		if (copy.n > copy.len_bytes || copy.n > WORKERS_CAPTURE_BYTES || copy.port >= PORTS || copy.n < 14)
			abort();
	}
}

static void happens(uint8_t what)
{
	const struct box some[] = {by_port(0, 100), by_kinds(MATCH_KINDS_V6, 17), box_any()};
	struct box box[RTE_DIM(some)];
	uint16_t n = 0;

	switch (what % EVENT_N) {
	case EVENT_MS:
		turn(NET_HZ / 1000);
		break;
	case EVENT_DOWN:
	case EVENT_UP:
		workers_port_set_up(net.all, what / EVENT_N % PORTS, what % EVENT_N == EVENT_UP);
		break;
	case EVENT_CAPTURE:
		for (uint16_t i = what / EVENT_N % RTE_DIM(some); i < RTE_DIM(some); i++) {
			box[n] = some[i];
			n += box_normalize(&box[n]);
		}
		if (workers_capture(net.all, box, n) < 0)
			abort();
		break;
	case EVENT_NO_CAPTURE:
		workers_capture(net.all, NULL, 0);
		break;
	case EVENT_DRAIN:
		drain();
		break;
	case EVENT_SECONDS:
		turn(2 * NET_HZ);
		break;
	default:
		take_captured();
	}
}

// Nothing is under way: the next input finds it as this one did, addresses aside.
static void settle(void)
{
	for (uint16_t p = 0; p < PORTS; p++)
		workers_port_set_up(net.all, p, true);
	for (int i = 0; i < 200; i++) {
		uint32_t left = 0;

		turn(NET_HZ / 100);
		drain();
		for (uint16_t p = 0; p < PORTS; p++)
			left += rte_ring_count(net.rx[p]) + sched_backlog_packets(net.sched[p]);
		if (left == 0 && i > 4)
			break;
	}
	take_captured();
	workers_capture(net.all, NULL, 0);
	net_expect_all_accounted_for(&net);
	if (rte_mempool_in_use_count(net.pool) != 0 || rte_mempool_in_use_count(net.copies) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	start_once();
	for (uint32_t n = 0; size >= 2 && n < FRAMES_MAX; n++) {
		uint8_t how = data[0], second = data[1];
		size_t len = 0;

		data += 2;
		size -= 2;
		if ((how & 3) == 3) {
			happens(second);
			continue;
		}
		len = second < size ? second : size;
		inject(how, data, len);
		data += len;
		size -= len;
		if ((how & HOW_TURN) != 0)
			turn(NET_HZ / 100000);
	}
	settle();
	return 0;
}
