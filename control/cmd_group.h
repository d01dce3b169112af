// SPDX-License-Identifier: Apache-2.0
// Text -> flow group (SPEC 1): `(*)` or a comma list of field tests.
// Thread: control only.
#pragma once
#include "cmd_lex.h"
#include "cmd_parse.h"

#define CMD_GROUP_TESTS_MAX 256 // field tests in one flow group

// Reads a flow group at the lexer's place into out (initialised). 0, or -1 with the refusal in the lexer's reply.
int cmd_group_parse(struct lex *l, const struct cmd_names *names, struct match *out);
// Reads `TRANSPORT PORTS`, each a value or a set in braces, as the source ports of the host (a flow group on the source
// side): what a binding of ports holds. As above.
int cmd_binding_ports_parse(struct lex *l, const struct box *host, struct match *out);
