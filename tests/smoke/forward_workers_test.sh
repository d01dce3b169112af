#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# forward_test.sh with three workers, over AF_PACKET (a fanout group of three queues).
WORKERS=3 exec "$(dirname "$(readlink -f "$0")")/forward_test.sh" af_packet
