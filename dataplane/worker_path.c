// SPDX-License-Identifier: Apache-2.0
// What a worker does with a burst: receive, parse, classify, act; and what leaves. Outputs are batched per port.
#include <stddef.h>

#include <rte_ethdev.h>
#include <rte_hash_crc.h>
#include <rte_mbuf.h>

#include "checksum.h"
#include "worker_priv.h"

#define TX_RETRIES 3 // for packets that no scheduler can take back
#define TX_BURSTS 8  // of scheduled packets in one turn of a port: receiving may not starve
#define MAC_GROUP (UINT64_C(1) << 40)

static void drop(struct worker_port *p, enum counter_id why, struct rte_mbuf *m)
{
	counters_add(&p->counters, why, 1);
	rte_pktmbuf_free(m);
}

static uint64_t bytes_of(struct rte_mbuf *const *m, uint16_t n)
{
	uint64_t bytes = 0;

	for (uint16_t i = 0; i < n; i++)
		bytes += rte_pktmbuf_pkt_len(m[i]);
	return bytes;
}

// The device takes the first of them; how many. They are counted as sent.
static uint16_t transmit(struct worker_port *p, struct rte_mbuf **m, uint16_t n)
{
	uint64_t bytes = bytes_of(m, n); // afterwards they are no longer ours to look at
	uint16_t sent = rte_eth_tx_burst(p->port_id, p->tx_queue, m, n);

	if (unlikely(sent < n))
		bytes -= bytes_of(m + sent, n - sent);
	counters_add(&p->counters, COUNTER_tx_packets, sent);
	counters_add(&p->counters, COUNTER_tx_bytes, bytes);
	return sent;
}

void worker_flush_direct(struct worker_port *p)
{
	uint16_t done = 0;

	for (int i = 0; i <= TX_RETRIES && done < p->n_direct; i++)
		done += transmit(p, p->direct + done, p->n_direct - done);
	for (; unlikely(done < p->n_direct); done++)
		drop(p, COUNTER_tx_full, p->direct[done]);
	p->n_direct = 0;
}

// Addresses, protocol and ports; MAC addresses where there is no IP.
static uint32_t flow_hash(const struct pkt *pkt)
{
	if (pkt->family == PKT_IP4)
		return rte_hash_crc(&pkt->ip4, offsetof(struct pkt_key_ip4, vlan_be), 0);
	if (pkt->family == PKT_IP6)
		return rte_hash_crc(&pkt->ip6, offsetof(struct pkt_key_ip6, vlan_be), 0);
	return rte_hash_crc_8byte(pkt->src_mac, rte_hash_crc_8byte(pkt->dst_mac, 0));
}

// The same for both directions of a flow, and for all fragments of a datagram but the first.
static uint32_t flow_hash_symmetric(const struct pkt *pkt)
{
	uint64_t both = pkt->src_mac ^ pkt->dst_mac, rest = 0;

	if (pkt->family == PKT_IP4) {
		both = (pkt->ip4.src_be ^ pkt->ip4.dst_be) | (uint64_t)(pkt->ip4.src_be + pkt->ip4.dst_be) << 32;
		rest = (uint32_t)(pkt->ip4.sport_be ^ pkt->ip4.dport_be) | (uint32_t)pkt->ip4.proto << 16;
	} else if (pkt->family == PKT_IP6) {
		const uint32_t *src = pkt->ip6.src_be, *dst = pkt->ip6.dst_be;

		both = (src[0] ^ dst[0] ^ src[2] ^ dst[2]) | (uint64_t)(src[1] ^ dst[1] ^ src[3] ^ dst[3]) << 32;
		rest = (uint32_t)(pkt->ip6.sport_be ^ pkt->ip6.dport_be) | (uint32_t)pkt->ip6.proto << 16;
	}
	return rte_hash_crc_8byte(both, (uint32_t)rest) * 0x9e3779b1u;
}

// The class that packets of this answer have at a port: kept with the answer.
static uint32_t class_at(struct worker_port *p, struct combined *answer, uint64_t now_tsc)
{
	struct combined_rest *rest = answer->rest;
	uint32_t i = p->port_id % COMBINE_PORTS;

	if (unlikely(rest->class_at[i].key != p->class_key ||
		     !sched_class_is_live(p->sched, rest->class_at[i].class))) {
		rest->class_at[i].key = p->class_key;
		rest->class_at[i].class = sched_class(p->sched, &rest->set, now_tsc);
	}
	return rest->class_at[i].class;
}

// What it will be, most likely: to be prefetched.
static uint32_t class_seen(const struct worker_port *p, const struct combined *answer)
{
	uint32_t i = p->port_id % COMBINE_PORTS, class = answer->rest->class_at[i].class;

	return answer->rest->class_at[i].key == p->class_key && class != SCHED_POLICED ? class : SCHED_BEST_EFFORT;
}

static void send_direct(struct worker_port *p, struct rte_mbuf *m)
{
	p->direct[p->n_direct++] = m;
	if (unlikely(p->n_direct == WORKER_DIRECT_MAX))
		worker_flush_direct(p);
}

// Through the scheduler, or past it where that makes no difference.
static void send_class(struct worker_port *p, struct rte_mbuf *m, uint32_t class, uint32_t hash, uint64_t now_tsc)
{
	if (class != SCHED_BEST_EFFORT && sched_may_bypass(p->sched, class)) {
		sched_count_bypass(p->sched, class, rte_pktmbuf_pkt_len(m)); // that is what is left of its figures
		send_direct(p, m);
	} else if (unlikely(!sched_enqueue(p->sched, m, class, hash, now_tsc))) {
		drop(p, COUNTER_queue_full, m);
	} else {
		worker_port_bypass(p, sched_may_bypass(p->sched, SCHED_BEST_EFFORT));
	}
}

// Frames of a burst for the classes of one port: what these need is on its way to the cache when they are enqueued.
static void enqueue_waiting(struct worker *w, uint64_t now_tsc)
{
	struct worker_waiting *q = &w->waiting;

	if (q->n == 0)
		return;
	sched_prefetch(q->port->sched, q->class, q->n);
	for (uint16_t i = 0; i < q->n; i++)
		send_class(q->port, q->m[i], class_at(q->port, q->answer[i], now_tsc), q->hash[i], now_tsc);
	q->n = 0;
}

static void wait_for_class(struct worker *w, struct worker_port *p, struct rte_mbuf *m, struct combined *answer,
			   uint32_t hash, uint64_t now_tsc)
{
	struct worker_waiting *q = &w->waiting;

	if (q->n == PKT_BURST || q->port != p)
		enqueue_waiting(w, now_tsc);
	q->port = p;
	q->m[q->n] = m;
	q->answer[q->n] = answer;
	q->hash[q->n] = hash;
	q->class[q->n++] = class_seen(p, answer);
}

static void stage(struct worker *w, struct worker_port *p, struct rte_mbuf *m, const struct pkt *pkt,
		  const struct sched_set *set)
{
	struct worker_handed *h = &w->staged[w->n_staged++];

	h->m = m;
	h->flow_hash = flow_hash(pkt);
	h->port = (uint16_t)(p - w->port);
	h->set = *set;
	if (w->n_staged == PKT_BURST)
		worker_hand_over(w);
}

static void output(struct worker *w, struct worker_port *p, struct rte_mbuf *m, const struct pkt *pkt,
		   struct combined *answer, uint64_t now_tsc)
{
	if (unlikely(!p->up))
		drop(p, COUNTER_tx_down, m);
	else if (unlikely(rte_pktmbuf_pkt_len(m) > p->max_frame_bytes))
		drop(p, COUNTER_tx_oversize, m);
	else if (answer->best_effort && p->bypass)
		send_direct(p, m);
	else if (p->sched == NULL)
		stage(w, p, m, pkt, &answer->rest->set);
	else if (answer->best_effort)
		send_class(p, m, SCHED_BEST_EFFORT, flow_hash(pkt), now_tsc);
	else
		wait_for_class(w, p, m, answer, flow_hash(pkt), now_tsc);
}

void worker_hand_over(struct worker *w)
{
	unsigned int n = hand_ring_put(w->handed, w->staged, w->n_staged);

	for (; unlikely(n < w->n_staged); n++)
		drop(&w->port[w->staged[n].port], COUNTER_owner_full, w->staged[n].m);
	w->n_staged = 0;
	worker_wake(w->all->worker[WORKER_OWNER]);
}

static void send_handed(struct worker *w, const struct worker_handed *h, uint64_t now_tsc)
{
	struct worker_port *p = &w->port[h->port];
	bool best_effort = h->set.node == SCHED_NODE_ROOT && h->set.n_reservations == 0 && h->set.n_limits == 0;

	if (unlikely(!p->up))
		drop(p, COUNTER_tx_down, h->m);
	else if (best_effort && p->bypass)
		send_direct(p, h->m);
	else
		send_class(p, h->m, best_effort ? SCHED_BEST_EFFORT : sched_class(p->sched, &h->set, now_tsc),
			   h->flow_hash, now_tsc);
}

unsigned int worker_take_over(struct worker *w, const uint32_t n[WORKERS_MAX], uint64_t now_tsc)
{
	struct worker_handed handed[PKT_BURST];
	unsigned int total = 0;

	for (uint16_t i = 0; i < w->all->n; i++) {
		uint32_t left = n[i], k;

		for (; left > 0; left -= k) {
			k = hand_ring_get(w->all->worker[i]->handed, handed, RTE_MIN(left, (uint32_t)PKT_BURST));
			if (k == 0)
				break;
			for (uint32_t j = 0; j < k; j++)
				send_handed(w, &handed[j], now_tsc);
			total += k;
		}
	}
	return total;
}

// Every other port that is up gets the frame: the last one itself, the others deep copies (AF_XDP cannot send indirect
// buffers, and a device may still read the frame after another has rewritten its own).
static void flood(struct worker *w, struct worker_port *in, struct rte_mbuf *m, const struct pkt *pkt,
		  struct combined *answer, uint64_t now_tsc)
{
	struct worker_port *out[WORKER_PORTS_MAX];
	unsigned int n = 0;

	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (&w->port[i] != in && w->port[i].up)
			out[n++] = &w->port[i];
	}
	if (n == 0) {
		drop(in, COUNTER_no_output, m);
		return;
	}
	counters_add(&in->counters, COUNTER_flooded, 1);
	counters_add(&in->counters, COUNTER_copies, n - 1);
	for (unsigned int i = 0; i + 1 < n; i++) {
		struct rte_mbuf *copy = rte_pktmbuf_copy(m, w->pool, 0, UINT32_MAX);

		if (likely(copy != NULL))
			output(w, out[i], copy, pkt, answer, now_tsc);
		else
			counters_add(&out[i]->counters, COUNTER_no_mbuf, 1);
	}
	output(w, out[n - 1], m, pkt, answer, now_tsc);
}

// Noted also where it was known: among the full bursts of others a sender would hardly ever be (sights_note_burst).
static void learn(struct worker *w, struct worker_port *in, const struct pkt *pkt)
{
	static const enum counter_id counter[] = {
		[FDB_NEW] = COUNTER_learned,
		[FDB_MOVED] = COUNTER_moved,
		[FDB_FULL] = COUNTER_not_learned,
	};
	enum fdb_learned how = fdb_near_learn(w->near, pkt->vlan, pkt->src_mac, (uint16_t)(in - w->port));

	if (how != FDB_KNOWN)
		counters_add(&in->counters, counter[how], 1);
	sights_note(w->sights, pkt, (uint16_t)(in - w->port), w->tick);
}

// What a burst turns into, phase by phase.
struct burst {
	struct worker_port *in;
	const struct snapshot *s;
	struct rte_mbuf **m;
	uint16_t n;
	struct pkt pkt[PKT_BURST];
	uint32_t met[PKT_BURST * CLS_CATEGORIES_MAX];
	uint32_t place[PKT_BURST]; // of their answers
};

static void drop_unfit(struct worker_port *in, struct rte_mbuf *m, uint8_t verdict)
{
	static const enum counter_id unfit[] = {
		[PKT_RUNT] = COUNTER_runt,
		[PKT_OVERSIZE] = COUNTER_oversize,
		[PKT_BAD_SOURCE] = COUNTER_bad_source,
		[PKT_FRAGMENT] = COUNTER_fragment,
		[PKT_DEEP] = COUNTER_deep,
		[PKT_LINK_LOCAL] = COUNTER_link_local,
	};

	drop(in, unfit[verdict], m);
}

static void parse(struct worker *w, struct burst *b)
{
	pkt_parse_burst(b->m, b->n, b->in->max_frame_bytes, b->pkt);
	for (uint16_t i = 0; unlikely(w->drop_fragments) && i < b->n; i++) {
		if (b->pkt[i].verdict == PKT_OK)
			pkt_refuse_fragment(b->m[i], &b->pkt[i]);
	}
	for (uint16_t i = 0; fdb_near_is_full(w->near) && i < b->n; i++) {
		if (b->pkt[i].verdict != PKT_OK)
			continue;
		fdb_prefetch(w->fdb, b->pkt[i].vlan, b->pkt[i].src_mac);
		fdb_prefetch(w->fdb, b->pkt[i].vlan, b->pkt[i].dst_mac);
	}
}

static void prefetch_answers(const struct worker *w, struct burst *b)
{
	uint32_t n_categories = b->s->view.n_categories;
	const uint32_t *met = b->met;

	if (n_categories == 1) {
		for (uint16_t i = 0; i < b->n; i++)
			combine_prefetch_one(w->combine, met[i]);
		return;
	}
	for (uint16_t i = 0; i < b->n && n_categories > 0; i++, met += n_categories) {
		b->place[i] = combine_place(met, n_categories);
		combine_prefetch(w->combine, b->place[i], n_categories);
	}
}

static struct combined *answer_of(struct worker *w, const struct burst *b, uint16_t i, uint64_t now_tsc)
{
	const struct layers_view *view = &b->s->view;
	const uint32_t *met = &b->met[i * view->n_categories];
	struct combined *answer = NULL;

	if (view->n_categories > 1)
		answer = combine_of_many(w->combine, view->epoch, met, view->n_categories, b->place[i]);
	else if (view->n_categories == 1)
		answer = combine_of_one(w->combine, view->epoch, met[0]);
	if (likely(answer != NULL))
		return answer;
	enqueue_waiting(w, now_tsc); // theirs may go
	return combine_get(w->combine, view->epoch, met, view->n_categories);
}

// Which classes packets of the answers have, where the burst before needed that.
static void prefetch_classes(const struct worker *w, const struct burst *b)
{
	uint32_t n_categories = b->s->view.n_categories;

	for (uint16_t i = 0; i < b->n && n_categories > 0; i++) {
		uint32_t place = n_categories == 1 ? combine_place(&b->met[i], 1) : b->place[i];

		combine_prefetch_class(w->combine, place);
	}
}

// To the port where the destination is, or to all.
static void forward(struct worker *w, const struct burst *b, uint16_t i, struct combined *answer, uint64_t now_tsc)
{
	const struct pkt *pkt = &b->pkt[i];
	uint16_t dst = fdb_near_look(w->near, pkt->vlan, pkt->dst_mac);
	struct worker_port *out;

	if (unlikely(dst == FDB_PORT_NONE) && (pkt->dst_mac & MAC_GROUP) == 0) // of a group nobody is the sender
		dst = fdb_near_find(w->near, pkt->vlan, pkt->dst_mac);
	if (unlikely(dst == FDB_PORT_NONE)) {
		flood(w, b->in, b->m[i], pkt, answer, now_tsc);
		return;
	}
	out = &w->port[dst];
	if (unlikely(out == b->in))
		drop(b->in, COUNTER_same_port, b->m[i]);
	else if (likely(answer->best_effort && pkt->len_bytes <= out->plain_bytes))
		send_direct(out, b->m[i]);
	else
		output(w, out, b->m[i], pkt, answer, now_tsc);
}

static void act(struct worker *w, const struct burst *b, uint64_t now_tsc)
{
	uint16_t in = (uint16_t)(b->in - w->port);
	struct rte_mbuf *denied[PKT_BURST];
	uint16_t n_denied = 0;
	bool classed = false, partial = b->in->partial_checksums;

	fdb_near_begin(w->near, w->tick);
	if (b->in->classed)
		prefetch_classes(w, b);
	for (uint16_t i = 0; i < b->n; i++) {
		const struct pkt *pkt = &b->pkt[i];
		struct combined *answer;

		if (unlikely(pkt->verdict != PKT_OK)) {
			drop_unfit(b->in, b->m[i], pkt->verdict);
			continue;
		}
		if (unlikely(!fdb_near_is_known(w->near, pkt->vlan, pkt->src_mac, in)))
			learn(w, b->in, pkt); // a denied frame still says where its sender is
		answer = answer_of(w, b, i, now_tsc);
		combine_count(answer, 1, pkt->len_bytes);
		classed |= !answer->best_effort;
		if (answer->drop) {
			denied[n_denied++] = b->m[i];
			continue;
		}
		if (unlikely(partial))
			checksum_complete(b->m[i], pkt);
		forward(w, b, i, answer, now_tsc);
	}
	enqueue_waiting(w, now_tsc);
	b->in->classed = classed;
	if (n_denied > 0) {
		counters_add(&b->in->counters, COUNTER_denied, n_denied);
		rte_pktmbuf_free_bulk(denied, n_denied);
	}
}

// A burst of one port, phase by phase.
static void process(struct worker *w, struct worker_port *in, const struct snapshot *s, struct rte_mbuf **m, uint16_t n,
		    uint64_t now_tsc)
{
	struct burst b;

	if (n == 0)
		return;
	b.in = in;
	b.s = s;
	b.m = m;
	b.n = n;
	parse(w, &b);
	sights_note_burst(w->sights, b.pkt, n, (uint16_t)(in - w->port), w->tick);
	if (unlikely(w->all->capture.n_boxes > 0))
		worker_capture(w, in, m, b.pkt, n);
	worker_phase_end(w, WORKER_PARSE);
	layers_run(&s->view, w->reader, b.pkt, n, b.met);
	prefetch_answers(w, &b);
	worker_phase_end(w, WORKER_CLASSIFY);
	act(w, &b, now_tsc);
	worker_phase_end(w, WORKER_ACT);
	for (uint16_t i = 0; i < w->n_ports; i++) {
		if (w->port[i].n_direct >= PKT_BURST)
			worker_flush_direct(&w->port[i]);
	}
	worker_phase_end(w, WORKER_TX);
	w->timing.n_packets += n;
}

// Gives others what is theirs; what is left, in order.
static uint16_t give(struct worker *w, struct worker_port *in, struct rte_mbuf **m, uint16_t n)
{
	struct rte_mbuf *to[WORKERS_MAX][PKT_BURST];
	uint16_t n_to[WORKERS_MAX] = {0}, n_mine = 0;

	for (uint16_t i = 0; i < n; i++) {
		uint32_t hash = 0, k;
		struct pkt pkt;

		if (pkt_parse(m[i], in->max_frame_bytes, &pkt) == PKT_OK)
			hash = flow_hash_symmetric(&pkt);
		k = (uint32_t)((uint64_t)hash * w->all->n >> 32);
		if (k == w->id) {
			m[n_mine++] = m[i];
			continue;
		}
		m[i]->port = (uint16_t)(in - w->port);
		to[k][n_to[k]++] = m[i];
	}
	for (uint16_t k = 0; k < w->all->n; k++) {
		unsigned int sent;

		if (n_to[k] == 0)
			continue;
		sent = hand_ring_put(w->from_me[k], to[k], n_to[k]);
		worker_wake(w->all->worker[k]);
		counters_add(&in->counters, COUNTER_worker_full, n_to[k] - sent);
		rte_pktmbuf_free_bulk(to[k] + sent, n_to[k] - sent);
	}
	return n_mine;
}

unsigned int worker_receive(struct worker *w, struct worker_queue from, const struct snapshot *s, uint64_t now_tsc)
{
	struct worker_port *in = &w->port[from.port];
	struct rte_mbuf *m[PKT_BURST];
	uint16_t n = rte_eth_rx_burst(in->port_id, from.queue, m, PKT_BURST), left = n;

	if (n == 0)
		return 0;
	counters_add(&in->counters, COUNTER_rx_packets, n);
	counters_add(&in->counters, COUNTER_rx_bytes, bytes_of(m, n));
	worker_phase_end(w, WORKER_RX);
	if (unlikely(!in->up)) {
		counters_add(&in->counters, COUNTER_rx_down, n);
		rte_pktmbuf_free_bulk(m, n);
		return n;
	}
	if (in->spread)
		left = give(w, in, m, n);
	process(w, in, s, m, left, now_tsc);
	return n;
}

// The port may have gone meanwhile.
static void process_given(struct worker *w, struct worker_port *in, const struct snapshot *s, struct rte_mbuf **m,
			  uint16_t n, uint64_t now_tsc)
{
	if (likely(in->up)) {
		process(w, in, s, m, n, now_tsc);
		return;
	}
	counters_add(&in->counters, COUNTER_rx_down, n);
	rte_pktmbuf_free_bulk(m, n);
}

unsigned int worker_receive_given(struct worker *w, const struct snapshot *s, uint64_t now_tsc)
{
	struct rte_mbuf *m[PKT_BURST];
	unsigned int total = 0;

	for (uint16_t k = 0; k < w->all->n; k++) {
		uint16_t n = 0, same;

		if (w->to_me[k] != NULL)
			n = (uint16_t)hand_ring_get(w->to_me[k], m, PKT_BURST);
		for (uint16_t i = 0; i < n; i += same) { // those of one port at once
			for (same = 1; i + same < n && m[i + same]->port == m[i]->port; same++)
				;
			process_given(w, &w->port[m[i]->port], s, m + i, same, now_tsc);
		}
		total += n;
	}
	return total;
}

unsigned int worker_send_scheduled(struct worker_port *p, uint64_t now_tsc)
{
	struct rte_mbuf *m[PKT_BURST];
	unsigned int total = 0;

	for (int i = 0; i < TX_BURSTS; i++) {
		uint16_t n = sched_dequeue(p->sched, m, PKT_BURST, now_tsc), sent = n;

		if (n == 0)
			break;
		if (likely(p->up)) {
			sent = transmit(p, m, n);
		} else {
			counters_add(&p->counters, COUNTER_tx_down, n);
			rte_pktmbuf_free_bulk(m, n);
		}
		total += sent;
		if (sent < n) {
			sched_unsend(p->sched, m + sent, n - sent);
			break;
		}
	}
	return total;
}
