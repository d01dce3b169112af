// SPDX-License-Identifier: Apache-2.0
// Transport checksums that a sender left to its device. Over a veth (and other links that are only software) there is
// no device: the frame comes as it left the sender's stack, in Linux CHECKSUM_PARTIAL. The checksum field of TCP and
// UDP then holds the sum of the pseudo-header, folded and not complemented; that of SCTP holds 0. The kernel's own
// receivers know from the packet's descriptor; a frame that is copied out has lost that, and whoever gets it drops it.
//
// Nothing in the frame but the field itself says so, and that is enough. Let P be the pseudo-header's sum and D the
// segment's without its checksum field, in ones' complement. Where the field holds P the answer is C = -(P + D). A
// frame whose checksum was right already, and is P by chance, has P + D + P = 0, so C = P: it stays as it is. A frame
// that was damaged on its way, and holds P by chance (one in 65,536), becomes a valid one: so this is for links without
// a wire. SCTP: the CRC32c (RFC 9260 appendix A) of a packet with a field of 0 is 0 again if 0 was right. Thread: any,
// values only. No allocation.
#pragma once
#include <stdbool.h>

struct pkt;
struct rte_mbuf;

// m, which nobody else reads, parsed to pkt with PKT_OK: its checksum becomes right if the sender left it to do.
// Whether anything was written. Fragments and tunnels' inner packets stay as they are (the kernel sends no partial
// fragments).
bool checksum_complete(struct rte_mbuf *m, const struct pkt *pkt);
