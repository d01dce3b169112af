// SPDX-License-Identifier: Apache-2.0
// The network drawn: switches with their ports, and what is behind each. Thread: one.
#pragma once
#include <jansson.h>

#include "draw.h"

// net: {"ports": items of `ports.`, "links": of `links.`, "hosts": of `hosts.`}; what a member lacks is not drawn.
void topology_draw(const struct draw *d, const json_t *net);
// The same as a graph in Graphviz's language: switches are boxes, hosts are ellipses, a link seen one way is dashed.
void topology_dot(const json_t *net, FILE *out);
