// SPDX-License-Identifier: Apache-2.0
#include "speaker.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#define WORD_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_$-"
#define HOST_CHARS WORD_CHARS ".:"

static int part_copy(const char *what, const char *allowed, const char *text, size_t len, char out[PRINCIPAL_NAME_MAX],
		     struct err *err)
{
	if (len == 0 || text[0] == '-')
		return err_set(err, EINVAL, "a principal's %s starts with a letter or digit", what);
	if (len >= PRINCIPAL_NAME_MAX)
		return err_set(err, EINVAL, "a principal's %s has at most %d characters", what, PRINCIPAL_NAME_MAX - 1);
	memcpy(out, text, len);
	out[len] = '\0';
	if (strspn(out, allowed) != len)
		return err_set(err, EINVAL, "a principal's %s has a character that is not allowed", what);
	return 0;
}

// One address has one text, so that principals compare as strings. What looks like an address must be one.
static int host_canonical(char host[PRINCIPAL_NAME_MAX], struct err *err)
{
	unsigned char addr[16];

	if (inet_pton(AF_INET6, host, addr) == 1)
		inet_ntop(AF_INET6, addr, host, PRINCIPAL_NAME_MAX);
	else if (strchr(host, ':') != NULL)
		return err_set(err, EINVAL, "a principal's host %s is no IPv6 address", host);
	else if (strspn(host, "0123456789.") == strlen(host) && strchr(host, '.') != NULL &&
		 inet_pton(AF_INET, host, addr) != 1)
		return err_set(err, EINVAL, "a principal's host %s is no IPv4 address", host);
	return 0;
}

int principal_parse(const char *text, struct principal *out, struct err *err)
{
	size_t user_len = strcspn(text, "@/");
	const char *rest = text + user_len;

	memset(out, 0, sizeof(*out));
	if (part_copy("user", WORD_CHARS, text, user_len, out->user, err) < 0)
		return -EINVAL;
	if (*rest == '@') {
		size_t host_len = strcspn(++rest, "/");

		if (part_copy("host", HOST_CHARS, rest, host_len, out->host, err) < 0)
			return -EINVAL;
		if (host_canonical(out->host, err) < 0)
			return -EINVAL;
		rest += host_len;
	}
	if (*rest == '/' && part_copy("application", WORD_CHARS, rest + 1, strlen(rest + 1), out->app, err) < 0)
		return -EINVAL;
	return 0;
}

void principal_format(const struct principal *p, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s", p->user, p->host[0] != '\0' ? "@" : "", p->host, p->app[0] != '\0' ? "/" : "",
		 p->app);
}

static bool part_covers(const char *granted, const char *speaker)
{
	return granted[0] == '\0' || strcmp(granted, speaker) == 0;
}

bool principal_covers(const struct principal *granted, const struct principal *speaker)
{
	return part_covers(granted->user, speaker->user) && part_covers(granted->host, speaker->host) &&
	       part_covers(granted->app, speaker->app);
}
