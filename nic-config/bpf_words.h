// SPDX-License-Identifier: Apache-2.0
// What libbpf and libxdp complain of, one way of several they try: kept for the case that none of them works.
// Thread: main lcore.
#pragma once

void bpf_words_listen(void);       // from now on, anew
const char *bpf_words_first(void); // warning since then; "": none
