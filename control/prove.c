// SPDX-License-Identifier: Apache-2.0
#include "prove.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "hft/verify.h"

#define REGION_BOXES_MAX 4096 // of more, all is checked
#define RECENT 16             // boxes among which a new one is looked for

struct prove {
	enum prove_mode mode;
	struct verify *verify;
	struct match region; // of changes since the last run
	bool whole;
	bool lacks_memory;
	uint64_t runs;
	struct prove_stats stats;
};

int prove_mode_parse(const char *text, enum prove_mode *mode)
{
	static const char *const names[] = {[PROVE_OFF] = "off", [PROVE_SAMPLED] = "sample", [PROVE_ALWAYS] = "always"};

	for (size_t i = 0; text != NULL && i < sizeof(names) / sizeof(names[0]); i++) {
		if (strcmp(text, names[i]) == 0) {
			*mode = (enum prove_mode)i;
			return 0;
		}
	}
	return -EINVAL;
}

struct prove *prove_create(enum prove_mode mode, const struct parts_nodes *nodes)
{
	struct prove *p = calloc(1, sizeof(*p));

	if (p == NULL)
		return NULL;
	p->mode = mode;
	match_init(&p->region);
	p->verify = verify_create(nodes);
	if (p->verify == NULL) {
		prove_destroy(p);
		return NULL;
	}
	return p;
}

void prove_destroy(struct prove *p)
{
	if (p == NULL)
		return;
	verify_destroy(p->verify);
	match_fini(&p->region);
	free(p);
}

// A request's rows have its boxes: mostly each comes twice in a row.
static void note(struct prove *p, const struct box *box)
{
	uint32_t n = p->region.n_boxes, from = n > RECENT ? n - RECENT : 0;

	if (p->whole)
		return;
	for (uint32_t i = from; i < n; i++) {
		if (box_equal(&p->region.boxes[i], box))
			return;
	}
	p->whole = n == REGION_BOXES_MAX || match_add(&p->region, box) < 0;
}

void prove_ask(struct prove *p, enum part part, uint64_t id, uint32_t node, enum access access,
	       const struct match *match)
{
	if (p == NULL)
		return;
	verify_unask(p->verify, part, id, node); // -ENOENT: nothing was
	if (match == NULL || match->n_boxes == 0)
		return;
	p->lacks_memory |= verify_ask(p->verify, part, id, node, access, match) < 0;
	for (uint32_t i = 0; i < match->n_boxes; i++)
		note(p, &match->boxes[i]);
}

void prove_row(struct prove *p, const struct part_row *row)
{
	if (p == NULL)
		return;
	p->lacks_memory |= verify_row(p->verify, row) < 0;
	note(p, &row->box);
}

void prove_unrow(struct prove *p, const struct part_row *row)
{
	if (p == NULL)
		return;
	verify_unrow(p->verify, part_row_key(row)); // -ENOENT: it was parked
	note(p, &row->box);
}

static int refuse(const struct verify_fault *fault, struct err *err)
{
	char text[256];

	match_packet_format(&fault->packet, text, sizeof(text));
	return err_set(err, EPROTO, "the table for the dataplane differs from the policy in %s, for the packet %s",
		       fault->part, text);
}

// What is over needs no proof, and what was not checked in time is not checked later.
int prove_run(struct prove *p, int64_t now_ns, struct err *err)
{
	struct verify_fault fault = {.part = ""};
	bool always;
	int ret = 1;

	if (p == NULL || (p->region.n_boxes == 0 && !p->whole))
		return 0;
	always = p->mode == PROVE_ALWAYS;
	if (p->lacks_memory)
		return err_set(err, ENOMEM, "no memory to prove the table");
	if (always || p->runs++ % PROVE_SAMPLE == 0) {
		uint32_t effort = always ? VERIFY_EFFORT : VERIFY_EFFORT_SHORT;

		if (p->whole)
			ret = verify_all(p->verify, now_ns, effort, &fault);
		else
			ret = verify_region(p->verify, &p->region, now_ns, effort, &fault);
		p->stats.proven += ret == 1;
		p->stats.undecided += ret == -E2BIG;
		p->stats.faults += ret == 0;
	}
	match_fini(&p->region);
	p->whole = false;
	if (ret == 0)
		return refuse(&fault, err);
	return ret == -ENOMEM ? err_set(err, ENOMEM, "no memory to prove the table") : 0;
}

void prove_stats(const struct prove *p, struct prove_stats *out)
{
	*out = p == NULL ? (struct prove_stats){0} : p->stats;
}
