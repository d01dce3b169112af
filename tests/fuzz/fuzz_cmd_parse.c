// SPDX-License-Identifier: Apache-2.0
// libFuzzer: any bytes as a statement. It is parsed and split; a refusal must be renderable, and what is accepted must
// not be an empty flow group.
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "control/cmd_parse.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint32_t any_user(void *ctx, const char *name)
{
	return name[0];
}

static bool any_host(void *ctx, const char *name, struct span128 *addr, uint32_t *kinds)
{
	*addr = match_ip4_prefix(0x0a000000 + (unsigned char)name[0], 32);
	*kinds = MATCH_KINDS_V4;
	return name[0] != 'x';
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct cmd_names names = {NULL, any_user, any_host};
	const char *text = (const char *)data;
	struct statement s;
	struct reply reply;
	size_t skip, len;

	statement_init(&s);
	reply_init(&reply);
	if (cmd_parse(text, size, &names, &s, &reply) < 0) {
		char *json = reply_render_json(&reply);

		assert(reply.code != REPLY_OK && json != NULL);
		free(json);
	} else {
		assert(reply.code == REPLY_OK && (s.verb != VERB_DENY || s.flows.n_boxes > 0));
	}
	statement_fini(&s);
	reply_fini(&reply);
	len = cmd_split(text, size, true, &skip);
	assert(skip <= size && len <= size - skip);
	return 0;
}
