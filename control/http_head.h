// SPDX-License-Identifier: Apache-2.0
// The head of a request of HTTP/1.x (RFC 9112): bytes -> what is asked for, or the status that refuses it. A value; no
// sockets. Thread: any.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#define HTTP_HEAD_MAX 8192 // bytes

enum http_method { HTTP_METHOD_GET, HTTP_METHOD_HEAD, HTTP_METHOD_OTHER };

struct http_head {
	int status; // 200; 400: it is none; 413: it has a body; 431: it is too long; 505: not HTTP/1.x
	enum http_method method;
	const char *path; // of the target, without its query; into the data, only with status 200
	size_t path_len;
	bool keeps; // the connection may go on behind the answer; never where status is not 200
	size_t len; // bytes of the head, with the empty line at its end
};

// Whether there is a whole head at the start of the data, or bytes that will be none (status says why, and what follows
// has no meaning). False: more bytes are needed, out is not set.
bool http_head_parse(const char *data, size_t len, struct http_head *out);
