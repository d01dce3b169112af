// SPDX-License-Identifier: Apache-2.0
// Any bytes as a stream of frames: refused, or a message whose encoding is those very bytes.
#include <stdlib.h>
#include <string.h>

#include "dataplane/proto.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t buf[PROTO_FRAME_MAX];
	struct proto_msg msg;
	struct err err;
	int used;

	while ((used = proto_decode(data, size, &msg, &err)) > 0) {
		if (proto_encode(&msg, buf) != (size_t)used || memcmp(buf, data, (size_t)used) != 0)
			abort();
		if (msg.type == PROTO_ROW_ADD)
			part_row_key(&msg.row);
		data += used;
		size -= (size_t)used;
	}
	return 0;
}
