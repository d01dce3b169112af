// SPDX-License-Identifier: Apache-2.0
// Any bytes as a stream of OpenFlow messages: refused, or read to the last entry; what is read can be written.
#include <errno.h>
#include <stdlib.h>

#include "control/of_wire.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void entries(const struct of_msg *m)
{
	union of_mp_entry entry;
	struct of_port port;
	struct err err;
	uint16_t at = 0;

	if (m->type == OF_MULTIPART_REPLY) {
		while (of_mp_next(m, &at, &entry, &err) > 0)
			;
	} else if (m->type == OF_FEATURES_REPLY) {
		while (of_features_port_next(m, &at, &port, &err) > 0)
			;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t buf[OF_MSG_MAX];
	struct of_msg m;
	struct err err;
	int n;

	while ((n = of_frame(data, size, &err)) > 0 && (size_t)n <= size) {
		if (of_decode(data, (size_t)n, &m, &err) == 0) {
			entries(&m);
			if (of_encode(&m, buf, sizeof(buf), &err) == -EMSGSIZE)
				abort();
		}
		data += n;
		size -= (size_t)n;
	}
	return 0;
}
