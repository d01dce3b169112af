// SPDX-License-Identifier: Apache-2.0
// Any bytes as a frame: parsed within its bounds, the same in one segment and in two, and classified as the linear
// search of the rows does, by an array as by rte_acl. The first byte says where the frame is cut.
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_rcu_qsbr.h>

#include "dataplane/layers.h"
#include "dataplane/pkt.h"
#include "tests/unit/dataplane/eal.h"

#define MAX_FRAME 1522
#define N_ROWS 12

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct cls_row rows[N_ROWS]; // all in one category, the highest rank first
static uint32_t n_rows;

static struct sight {
	struct layers *layers;
	struct layers_reader *reader;
	struct layers_view view;
	uint32_t slot[N_ROWS];
} in_array, in_trie;

static void add_row(const struct box *any, uint32_t kinds, enum match_field field, uint64_t lo, uint64_t hi,
		    const struct span128 *src)
{
	struct cls_row *row = &rows[n_rows];

	*row = (struct cls_row){.box = *any, .rank = N_ROWS - n_rows, .meter_category = CLS_NO_CATEGORY};
	row->box.kinds = kinds;
	row->box.f[field] = (struct span){lo, hi};
	if (src != NULL)
		row->box.src = *src;
	if (!box_normalize(&row->box))
		abort();
	n_rows++;
}

static void sight_open(struct sight *s, bool merged)
{
	const struct layers_conf conf = {.rcu = rte_zmalloc(NULL, rte_rcu_qsbr_get_memsize(1), RTE_CACHE_LINE_SIZE),
					 .simd_max_bits = 512,
					 .max_slots = 64,
					 .manual = true};
	struct layers_batch *batch;
	struct err err;

	if (conf.rcu == NULL || rte_rcu_qsbr_init(conf.rcu, 1) != 0)
		abort();
	s->layers = layers_create(&conf, &err);
	if (s->layers == NULL || (s->reader = layers_reader_create(s->layers)) == NULL)
		abort();
	batch = layers_batch_create(s->layers);
	for (uint32_t i = 0; i < n_rows; i++)
		s->slot[i] = layers_batch_add(batch, &rows[i], &err);
	if (layers_commit(s->layers, batch, &s->view, &err) < 0)
		abort();
	for (int64_t now_ns = 0; merged && layers_merge_all(s->layers); usleep(100))
		layers_poll(s->layers, now_ns += 1000000);
	layers_view(s->layers, &s->view);
	if ((s->view.n_layers > 0) != merged || (s->view.n_arrays > 0) == merged)
		abort();
}

static void start_once(void)
{
	const uint8_t ip6[16] = {0x20, 0x01, 0x0d, 0xb8};
	const struct span128 net4 = match_ip4_prefix(0x0a000000, 8), net6 = match_ip6_prefix(ip6, 32);
	const struct box any = box_any();

	if (n_rows > 0)
		return;
	test_eal_init();
	add_row(&any, MATCH_KINDS_ALL, MATCH_VLAN, 7, 9, NULL);
	add_row(&any, MATCH_KINDS_PORTS, MATCH_DST_PORT, 80, 80, NULL);
	add_row(&any, MATCH_KINDS_PORTS, MATCH_SRC_PORT, 49152, 65535, NULL);
	add_row(&any, MATCH_KINDS_V4, MATCH_PROTO, 1, 1, &net4);
	add_row(&any, MATCH_KINDS_V6, MATCH_PROTO, 17, 58, &net6);
	add_row(&any, MATCH_NONIP, MATCH_SRC_ETH, 0x020000000000, 0x0200000000ff, NULL);
	add_row(&any, MATCH_IP4, MATCH_DST_ETH, 0, 0x7fffffffffff, NULL);
	add_row(&any, MATCH_IP6, MATCH_VLAN, 0, 0, NULL);
	add_row(&any, MATCH_IP4PORTS, MATCH_VLAN, 1, 4095, &net4);
	add_row(&any, MATCH_KINDS_ALL, MATCH_SRC_ETH, 0x020000000001, 0x020000000001, NULL);
	sight_open(&in_array, false);
	sight_open(&in_trie, true);
}

static uint32_t find(const struct match_packet *packet)
{
	for (uint32_t i = 0; i < n_rows; i++) {
		if (box_covers(&rows[i].box, packet))
			return i;
	}
	return N_ROWS;
}

static void check_row(const struct sight *s, const struct pkt *pkt, uint32_t want)
{
	uint32_t met[CLS_CATEGORIES_MAX] = {0};

	layers_run(&s->view, s->reader, pkt, 1, met);
	if (met[0] != (want == N_ROWS ? CLS_NO_ROW : s->slot[want]))
		abort();
}

// The frame in two segments, cut anywhere.
static void check_segments(const uint8_t *data, size_t size, size_t cut, const struct pkt *whole)
{
	struct rte_mbuf a, b, *m = &a;
	uint8_t *first = malloc(cut + 1), *second = malloc(size - cut + 1);
	struct pkt p;

	memset(&p, 0, sizeof(p)); // a plain frame's key fills what its family has of the bytes
	memset(&a, 0, sizeof(a));
	memset(&b, 0, sizeof(b));
	memcpy(first, data, cut);
	memcpy(second, data + cut, size - cut);
	a.buf_addr = first;
	a.data_len = (uint16_t)cut;
	a.pkt_len = (uint32_t)size;
	a.nb_segs = 2;
	a.next = &b;
	b.buf_addr = second;
	b.data_len = (uint16_t)(size - cut);
	b.nb_segs = 1;
	if ((pkt_parse_burst(&m, 1, MAX_FRAME, &p) == 1) != (whole->verdict == PKT_OK) || p.verdict != whole->verdict)
		abort();
	if (p.verdict == PKT_OK && memcmp(&p, whole, sizeof(p)) != 0)
		abort();
	free(first);
	free(second);
}

// A priority tag put before all others changes nothing of what is seen: the frame is refused, or the same.
static void check_tagged(const uint8_t *data, size_t size, const struct pkt *untagged)
{
	static const uint8_t tag[] = {0x81, 0x00, 0xe0, 0x00};
	size_t tagged = size + sizeof(tag);
	uint8_t *copy = malloc(tagged);
	struct pkt p;

	memcpy(copy, data, 12);
	memcpy(copy + 12, tag, sizeof(tag));
	memcpy(copy + 16, data + 12, size - 12);
	pkt_parse_bytes(copy, (uint32_t)tagged, (uint32_t)tagged, MAX_FRAME, &p);
	p.len_bytes = untagged->len_bytes;
	if (p.verdict != PKT_DEEP && p.verdict != PKT_OVERSIZE && memcmp(&p, untagged, sizeof(p)) != 0)
		abort();
	free(copy);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct match_packet packet;
	struct pkt p;
	size_t cut;

	start_once();
	if (size < 2 || size > 9000)
		return 0;
	cut = data[0];
	data++;
	size--;
	memset(&p, 0, sizeof(p));
	pkt_parse_bytes(data, (uint32_t)(size < PKT_WINDOW_BYTES ? size : PKT_WINDOW_BYTES), (uint32_t)size, MAX_FRAME,
			&p);
	check_segments(data, size, cut < size ? cut : size, &p);
	if (p.verdict != PKT_OK)
		return 0;
	check_tagged(data, size, &p);
	pkt_to_match_packet(&p, 0, &packet);
	check_row(&in_array, &p, find(&packet));
	check_row(&in_trie, &p, find(&packet));
	return 0;
}
