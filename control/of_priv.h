// SPDX-License-Identifier: Apache-2.0
// What the files of of_wire share. Thread: any, values only.
#pragma once
#include "of_buf.h"
#include "of_wire.h"

// 0, or -errno with err. Writers leave out->bad to the caller.
int of_put_match(struct of_out *out, uint8_t version, const struct of_match *m, struct err *err);
// strict: an unknown field is an error, else it is skipped (of packet-ins: switches add what they like).
int of_get_match(struct of_in *in, uint8_t version, bool strict, struct of_match *m, struct err *err);

int of_put_actions(struct of_out *out, uint8_t version, const struct of_action *a, unsigned int n, struct err *err);
// All of `in` is actions. max: room in a.
int of_get_actions(struct of_in *in, uint8_t version, struct of_action *a, unsigned int max, uint8_t *n,
		   struct err *err);
// 1.3's instructions; in 1.0 the actions alone.
int of_put_instructions(struct of_out *out, uint8_t version, const struct of_instructions *i, struct err *err);
int of_get_instructions(struct of_in *in, uint8_t version, struct of_instructions *i, struct err *err);

void of_put_port(struct of_out *out, uint8_t version, const struct of_port *port);
void of_get_port(struct of_in *in, uint8_t version, struct of_port *port);
uint32_t of_port_to_wire10(uint32_t port); // 16 bits
uint32_t of_get_port_no(struct of_in *in, uint8_t version);
void of_put_port_no(struct of_out *out, uint8_t version, uint32_t port);

int of_put_bands(struct of_out *out, const struct of_band *bands, unsigned int n);
int of_get_bands(struct of_in *in, struct of_band *bands, uint8_t *n, struct err *err);
int of_put_buckets(struct of_out *out, const struct of_group_mod *g, struct err *err);
int of_get_buckets(struct of_in *in, struct of_group_mod *g, struct err *err);

int of_put_mp_request(struct of_out *out, uint8_t version, const struct of_mp *mp, struct err *err);
int of_get_mp_request(struct of_in *in, uint8_t version, struct of_mp *mp, struct err *err);
