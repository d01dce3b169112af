// SPDX-License-Identifier: Apache-2.0
#include "cmd_value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <string.h>

#include "cmd_parse.h"

#define NS_PER_S INT64_C(1000000000)

struct unit {
	const char *name;
	uint64_t factor;
};

static const struct unit rate_units[] = {
	{"", 1000000},           {"b", 1},          {"bps", 1},         {"kb", 1000},         {"kbps", 1000},
	{"Mb", 1000000},         {"Mbps", 1000000}, {"Gb", 1000000000}, {"Gbps", 1000000000}, {"Tb", 1000000000000},
	{"Tbps", 1000000000000}, {NULL, 0},
};

static const struct unit amount_units[] = {
	{"", 1000000}, {"b", 1}, {"kb", 1000}, {"Mb", 1000000}, {"Gb", 1000000000}, {"Tb", 1000000000000}, {NULL, 0},
};

static const struct unit size_units[] = {
	{"", 1},
	{"B", 1},
	{"kB", 1000},
	{"MB", 1000000},
	{"GB", 1000000000},
	{"TB", 1000000000000},
	{"KiB", 1024},
	{"MiB", 1048576},
	{"GiB", 1073741824},
	{"TiB", 1099511627776},
	{NULL, 0},
};

static const struct unit time_units[] = {
	{"", NS_PER_S},         {"s", NS_PER_S},         {"min", 60 * NS_PER_S},
	{"h", 3600 * NS_PER_S}, {"d", 86400 * NS_PER_S}, {NULL, 0},
};

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static size_t count_digits(const char *text, size_t len)
{
	size_t n = 0;

	while (n < len && is_digit(text[n]))
		n++;
	return n;
}

int value_number(const char *text, size_t len, uint64_t max, uint64_t *out)
{
	uint64_t n = 0;

	if (len > 1 && text[0] == '-' && count_digits(text + 1, len - 1) == len - 1)
		return -ERANGE;
	if (len == 0 || count_digits(text, len) != len)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (__builtin_mul_overflow(n, (uint64_t)10, &n) ||
		    __builtin_add_overflow(n, (uint64_t)(text[i] - '0'), &n))
			return -ERANGE;
	if (n > max)
		return -ERANGE;
	*out = n;
	return 0;
}

// A whole number and a unit, at most 2^63-1 in the unit's base.
static int quantity(const char *text, size_t len, const struct unit *units, uint64_t *out)
{
	bool negative = len > 0 && text[0] == '-';
	size_t start = negative ? 1 : 0, digits = count_digits(text + start, len - start), end = start + digits;
	uint64_t n;

	if (digits == 0)
		return -EINVAL;
	while (units->name != NULL &&
	       (strlen(units->name) != len - end || memcmp(units->name, text + end, len - end) != 0))
		units++;
	if (units->name == NULL)
		return -EINVAL;
	if (negative || value_number(text, end, INT64_MAX, &n) < 0 || __builtin_mul_overflow(n, units->factor, &n) ||
	    n > INT64_MAX)
		return -ERANGE;
	*out = n;
	return 0;
}

int value_rate(const char *text, size_t len, uint64_t *bps)
{
	return quantity(text, len, rate_units, bps);
}

int cmd_parse_rate(const char *text, uint64_t *bps)
{
	return value_rate(text, strlen(text), bps) < 0 ? -EINVAL : 0;
}

int value_amount(const char *text, size_t len, uint64_t *bits)
{
	return quantity(text, len, amount_units, bits);
}

int value_size(const char *text, size_t len, uint64_t *bytes)
{
	return quantity(text, len, size_units, bytes);
}

// A number of up to nine decimals and a unit of time: whole nanoseconds, at most 2^63-1.
static int time_quantity(const char *text, size_t len, const struct unit *units, int64_t *ns)
{
	const char *dot = memchr(text, '.', len);
	size_t start = len > 0 && text[0] == '-', whole = dot != NULL ? (size_t)(dot - text) : 0, n_decimals;
	char integral[64];
	uint64_t n, part = 0, decimals = 0, scale = NS_PER_S;
	int rc;

	if (dot == NULL) {
		rc = quantity(text, len, units, &n);
		if (rc == 0)
			*ns = (int64_t)n;
		return rc;
	}
	n_decimals = count_digits(dot + 1, len - whole - 1);
	if (whole == start || count_digits(text + start, whole - start) != whole - start || n_decimals == 0 ||
	    len - n_decimals > sizeof(integral))
		return -EINVAL;
	memcpy(integral, text, whole); // the same without the decimals
	memcpy(integral + whole, dot + 1 + n_decimals, len - whole - 1 - n_decimals);
	rc = quantity(integral, len - 1 - n_decimals, units, &n);
	if (rc < 0)
		return rc;
	if (n_decimals > 9)
		return -ERANGE;
	for (size_t i = 0; i < n_decimals; i++, scale /= 10)
		decimals = decimals * 10 + (uint64_t)(dot[1 + i] - '0');
	// What one unit holds is known now: all are multiples of a second.
	while (units->name != NULL && (strlen(units->name) != len - whole - 1 - n_decimals ||
				       memcmp(units->name, dot + 1 + n_decimals, strlen(units->name)) != 0))
		units++;
	if (units->name == NULL)
		return -EINVAL;
	part = decimals * scale * (units->factor / NS_PER_S);
	if (__builtin_add_overflow(n, part, &n) || n > INT64_MAX)
		return -ERANGE;
	*ns = (int64_t)n;
	return 0;
}

int value_duration(const char *text, size_t len, int64_t *ns)
{
	return time_quantity(text, len, time_units, ns);
}

static int days_in_month(int year, int month)
{
	static const int days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;

	return days[month - 1] + (month == 2 && leap);
}

// Days from 1970-01-01, proleptic Gregorian.
static int64_t days_since_epoch(int year, int month, int day)
{
	int64_t y = year - (month <= 2), era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
	int64_t doy = (153 * (month + (month > 2 ? -3 : 9)) + 2) / 5 + day - 1;

	return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

static int two_digits(const char *text)
{
	return (text[0] - '0') * 10 + text[1] - '0';
}

static int iso_time(const char *text, size_t len, int64_t *ns)
{
	static const char form[] = "dddd-dd-ddTdd:dd:ddZ";
	int year, month, day, hour, minute, second;
	int64_t s;

	if (len != sizeof(form) - 1)
		return -EINVAL;
	for (size_t i = 0; i < len; i++)
		if (form[i] == 'd' ? !is_digit(text[i]) : text[i] != form[i])
			return -EINVAL;
	year = two_digits(text) * 100 + two_digits(text + 2);
	month = two_digits(text + 5);
	day = two_digits(text + 8);
	hour = two_digits(text + 11);
	minute = two_digits(text + 14);
	second = two_digits(text + 17);
	if (year < 1970 || month < 1 || month > 12 || day < 1 || day > days_in_month(year, month) || hour > 23 ||
	    minute > 59 || second > 59)
		return -ERANGE;
	s = days_since_epoch(year, month, day) * 86400 + hour * 3600 + minute * 60 + second;
	return __builtin_mul_overflow(s, NS_PER_S, ns) ? -ERANGE : 0;
}

static bool is_text(const char *text, size_t len, const char *want)
{
	return len == strlen(want) && memcmp(text, want, len) == 0;
}

int value_time(const char *text, size_t len, struct time_spec *out)
{
	static const struct unit seconds[] = {{"", NS_PER_S}, {NULL, 0}};

	*out = (struct time_spec){.kind = TIME_ABSOLUTE};
	if (is_text(text, len, "now")) {
		out->kind = TIME_NOW;
		return 0;
	}
	if (is_text(text, len, "forever")) {
		out->kind = TIME_FOREVER;
		out->ns = INT64_MAX;
		return 0;
	}
	if (len > 0 && text[0] == '+') {
		out->kind = TIME_RELATIVE;
		return value_duration(text + 1, len - 1, &out->ns);
	}
	if (len > 4 && text[4] == '-')
		return iso_time(text, len, &out->ns);
	return time_quantity(text, len, seconds, &out->ns);
}

static int hex_digit(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	if (c >= 'A' && c <= 'F')
		return c - 'A' + 10;
	return -1;
}

int value_mac(const char *text, size_t len, uint64_t *mac)
{
	uint64_t value = 0;

	if (len != 17)
		return -EINVAL;
	for (size_t i = 0; i < len; i++) {
		int digit = hex_digit(text[i]);

		if (i % 3 == 2 ? text[i] != ':' : digit < 0)
			return -EINVAL;
		if (i % 3 != 2)
			value = value << 4 | (unsigned int)digit;
	}
	*mac = value;
	return 0;
}

// Up to four dotted numbers; missing ones are 0.
static int ip4_octets(const char *text, size_t len, uint32_t *addr)
{
	size_t at = 0;

	*addr = 0;
	for (unsigned int n = 0; n < 4 && at < len; n++) {
		size_t digits = count_digits(text + at, len - at);
		uint64_t octet;

		if (digits == 0)
			return -EINVAL;
		if (value_number(text + at, digits, 255, &octet) < 0 || (digits > 1 && text[at] == '0'))
			return -ERANGE;
		*addr |= (uint32_t)octet << (24 - 8 * n);
		at += digits;
		if (at == len)
			return 0;
		if (text[at++] != '.')
			return -EINVAL;
	}
	return -EINVAL;
}

// Four numbers, however large: what looks like this is never a host's name.
static bool is_dotted_quad(const char *text, size_t len)
{
	unsigned int dots = 0;

	for (size_t i = 0; i < len; i++) {
		if (!is_digit(text[i]) && text[i] != '.')
			return false;
		dots += text[i] == '.';
	}
	return dots == 3;
}

static int ip6_address(const char *text, size_t len, unsigned int prefix_len, struct span128 *addr)
{
	char buf[INET6_ADDRSTRLEN];
	uint8_t bytes[16];

	if (len >= sizeof(buf))
		return -EINVAL;
	memcpy(buf, text, len);
	buf[len] = '\0';
	if (inet_pton(AF_INET6, buf, bytes) != 1)
		return -EINVAL;
	*addr = match_ip6_prefix(bytes, prefix_len);
	return 0;
}

int value_address(const char *text, size_t len, struct span128 *addr, uint32_t *kinds)
{
	const char *slash = memchr(text, '/', len);
	size_t addr_len = slash != NULL ? (size_t)(slash - text) : len;
	bool ip6 = memchr(text, ':', len) != NULL;
	uint64_t prefix_len = ip6 ? 128 : 32;
	uint32_t addr4;
	int rc;

	if (slash != NULL) {
		rc = value_number(slash + 1, len - addr_len - 1, prefix_len, &prefix_len);
		if (rc < 0)
			return rc;
	}
	*kinds = ip6 ? MATCH_KINDS_V6 : MATCH_KINDS_V4;
	if (ip6)
		return ip6_address(text, addr_len, prefix_len, addr);
	if (slash == NULL && !is_dotted_quad(text, len))
		return -ENOENT; // h1, 10.1 or web.lab
	rc = ip4_octets(text, addr_len, &addr4);
	if (rc == 0)
		*addr = match_ip4_prefix(addr4, prefix_len);
	return rc;
}
