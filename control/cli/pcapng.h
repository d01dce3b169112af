// SPDX-License-Identifier: Apache-2.0
// Writes capture files: pcapng (draft-ietf-opsawg-pcapng), little endian, Ethernet, nanoseconds. Thread: one.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

// Each 0, or -EIO. Interfaces get numbers from 0 on, in order; a frame names one that is there.
int pcapng_begin(FILE *f);
int pcapng_interface(FILE *f, const char *name);
int pcapng_frame(FILE *f, uint32_t interface, int64_t time_ns, const uint8_t *data, uint32_t n, uint32_t len_bytes);
