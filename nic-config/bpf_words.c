// SPDX-License-Identifier: Apache-2.0
#include "bpf_words.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <bpf/libbpf.h>
#include <xdp/libxdp.h>

static char said[160];

static int keep_warning(bool is_warning, const char *fmt, va_list ap)
{
	if (is_warning && said[0] == '\0') {
		vsnprintf(said, sizeof(said), fmt, ap);
		said[strcspn(said, "\n")] = '\0';
	}
	return 0;
}

static int on_libbpf(enum libbpf_print_level level, const char *fmt, va_list ap)
{
	return keep_warning(level == LIBBPF_WARN, fmt, ap);
}

static int on_libxdp(enum libxdp_print_level level, const char *fmt, va_list ap)
{
	return keep_warning(level == LIBXDP_WARN, fmt, ap);
}

void bpf_words_listen(void)
{
	said[0] = '\0';
	libbpf_set_print(on_libbpf);
	libxdp_set_print(on_libxdp);
}

const char *bpf_words_first(void)
{
	return said;
}
