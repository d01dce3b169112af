// SPDX-License-Identifier: Apache-2.0
// Boxes of the network flow table as OpenFlow matches. Values only. Thread: any.
#pragma once
#include "hft/match.h"
#include "of_wire.h"

// The matches whose union is the box (its time is left out): ranges become prefixes (1.3) or single values (1.0).
// Their number, at most max; -E2BIG: more; -ENOTSUP: no OpenFlow match can say it (such as "IPv4 without ports"), err
// names what.
int of_lower_box(const struct box *box, uint8_t version, struct of_match *out, unsigned int max, struct err *err);
// m for frames to one address only. false: m holds none.
bool of_match_to(const struct of_match *m, const uint8_t mac[6], struct of_match *out);
