// SPDX-License-Identifier: Apache-2.0
// The versions' own message numbers. Thread: any, values only.
#pragma once
#include <stdint.h>

int of_type_to_wire(uint8_t version, uint8_t type);   // enum of_type; -1: the version does not have it
int of_type_from_wire(uint8_t version, uint8_t wire); // -1: not known
const char *of_type_name(uint8_t type);               // "flow_mod"
