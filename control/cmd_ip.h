// SPDX-License-Identifier: Apache-2.0
// Middleboxes and bindings in a statement: lists and sets of addresses. Thread: control only.
#pragma once
#include "cmd_lex.h"
#include "cmd_parse.h"
#include "ip_list.h"

// One address, or a host's name, which is added to the list. 0, or -1 with the refusal.
int cmd_ip_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out);
// IP[, IP...], with or without braces, at least one; names of hosts are looked up. 0, or -1 with the refusal.
int cmd_ips_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out);
// `*` or {[IP[, IP...]]}: a set.
int cmd_ip_set_parse(struct lex *l, const struct cmd_names *names, struct ip_list **out);
