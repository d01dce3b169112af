// SPDX-License-Identifier: Apache-2.0
// Principals: who speaks (user, host, application). Thread: control only. Values.
#pragma once
#include <stdbool.h>
#include <stddef.h>

#include "hft/err.h"

#define PRINCIPAL_NAME_MAX 64

// An empty part means any. Text: alice, alice@10.0.0.5, alice@10.0.0.5/ssh, alice/ssh.
struct principal {
	char user[PRINCIPAL_NAME_MAX];
	char host[PRINCIPAL_NAME_MAX];
	char app[PRINCIPAL_NAME_MAX];
};

int principal_parse(const char *text, struct principal *out, struct err *err); // 0 or -EINVAL
void principal_format(const struct principal *p, char *buf, size_t size);
// A grant to `granted` covers `speaker`.
bool principal_covers(const struct principal *granted, const struct principal *speaker);
