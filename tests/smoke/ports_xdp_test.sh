#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# ports_test.sh over AF_XDP.
exec "$(dirname "$(readlink -f "$0")")/ports_test.sh" af_xdp
