// SPDX-License-Identifier: Apache-2.0
// What DPDK and its drivers say, as lines of the dataplane's log: `... dataplane warning: driver: words`.
// Thread: dp_driver_log_on before EAL starts; the lines come from any thread.
#pragma once

// Lines that are said at each start of a healthy port and concern what the switch does not use are left out. Without
// memory for it, DPDK speaks for itself as before.
void dp_driver_log_on(void);
