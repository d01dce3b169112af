// SPDX-License-Identifier: Apache-2.0
#include "action.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ethtool.h"

#define RSS_KEY_MAX 256
#define BIND_WAIT_MS 2000

static const struct {
	const char *name, *object, *value;
} verbs[VERB_N] = {
	[VERB_HUGE] = {"huge", "SIZE in kB", "PAGES"},
	[VERB_DRIVER] = {"driver", "a PCI address", "a DRIVER or -"},
	[VERB_UP] = {"up", "an INTERFACE", "0 or 1"},
	[VERB_MTU] = {"mtu", "an INTERFACE", "68 to 65535 BYTES"},
	[VERB_QUEUES] = {"queues", "an INTERFACE", "a NUMBER from 1"},
	[VERB_RSS] = {"rss", "an INTERFACE", "a KEY in hexadecimal"},
};

// A decimal number of lo to hi and nothing else.
static bool number_is(const char *text, uint64_t lo, uint64_t hi, uint64_t *out)
{
	char *end;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	*out = strtoull(text, &end, 10);
	return errno == 0 && *end == '\0' && *out >= lo && *out <= hi;
}

static bool is_hex(const char *text)
{
	size_t len = strlen(text);

	return len > 0 && len % 2 == 0 && len / 2 <= RSS_KEY_MAX && strspn(text, "0123456789abcdef") == len;
}

static bool is_plain_name(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && strpbrk(text, "/ \t") == NULL;
}

static bool value_is_valid(const struct action *a)
{
	uint64_t n;

	switch (a->verb) {
	case VERB_HUGE:
		return number_is(a->object, 4, UINT64_C(1) << 32, &n) && number_is(a->value, 0, UINT64_C(1) << 40, &n);
	case VERB_DRIVER:
		return strcmp(a->value, "-") == 0 || is_plain_name(a->value);
	case VERB_UP:
		return number_is(a->value, 0, 1, &n);
	case VERB_MTU:
		return number_is(a->value, 68, 65535, &n);
	case VERB_QUEUES:
		return number_is(a->value, 1, 65535, &n);
	case VERB_RSS:
		return is_hex(a->value);
	default:
		return false;
	}
}

int action_parse(const char *line, struct action *out, char why[ACTION_WHY_BYTES])
{
	char verb[16], rest[2];
	int n = sscanf(line, "%15s %63s %599s %1s", verb, out->object, out->value, rest);

	for (int v = 0; n >= 1 && v < VERB_N; v++) {
		if (strcmp(verb, verbs[v].name) != 0)
			continue;
		out->verb = (enum verb)v;
		if (n == 3 && is_plain_name(out->object) && value_is_valid(out))
			return 0;
		return why_fail(why, EINVAL, "\"%.80s\": expected %s, %s, %s", line, verbs[v].name, verbs[v].object,
				verbs[v].value);
	}
	return why_fail(why, EINVAL, "\"%.80s\": expected huge, driver, up, mtu, queues or rss", line);
}

int action_line(const struct action *a, char out[ACTION_LINE_BYTES])
{
	return snprintf(out, ACTION_LINE_BYTES, "%s %s %s\n", verbs[a->verb].name, a->object, a->value);
}

void action_print(const struct action *a, FILE *to)
{
	char line[ACTION_LINE_BYTES];

	action_line(a, line);
	fputs(line, to);
}

static int now_rss(const char *interface, char out[ACTION_VALUE_BYTES])
{
	uint8_t key[RSS_KEY_MAX];
	uint32_t len;
	int rc = eth_rss_key(interface, key, sizeof(key), &len);

	for (uint32_t i = 0; rc == 0 && i < len; i++)
		snprintf(out + 2 * (size_t)i, 3, "%02x", key[i]);
	return rc;
}

static int now_number(const char *sys, const struct action *a, uint32_t *out)
{
	bool up = false, carrier;
	uint32_t max;
	int rc;

	switch (a->verb) {
	case VERB_UP:
		rc = eth_flags(a->object, &up, &carrier);
		*out = up;
		return rc;
	case VERB_MTU:
		return eth_mtu(a->object, out);
	default:
		return eth_queues(a->object, out, &max);
	}
}

int action_now(const char *sys, const struct action *a, char out[ACTION_VALUE_BYTES], char why[ACTION_WHY_BYTES])
{
	uint32_t number = 0;
	int rc;

	if (a->verb == VERB_HUGE)
		rc = host_read(sys, out, ACTION_VALUE_BYTES, "kernel/mm/hugepages/hugepages-%skB/nr_hugepages",
			       a->object);
	else if (a->verb == VERB_DRIVER)
		rc = host_driver(sys, a->object, out);
	else if (a->verb == VERB_RSS)
		rc = now_rss(a->object, out);
	else {
		rc = now_number(sys, a, &number);
		snprintf(out, ACTION_VALUE_BYTES, "%" PRIu32, number);
	}
	if (rc == -ENOENT && a->verb == VERB_HUGE)
		return why_fail(why, ENOENT, "huge pages of %s kB: this machine has none of that size", a->object);
	if (rc < 0)
		return why_fail(why, -rc, "%s %s: %s", verbs[a->verb].name, a->object, strerror(-rc));
	return 0;
}

// The kernel may get fewer than asked for, and says nothing.
static int set_huge(const char *sys, const struct action *a, const char *before, char why[ACTION_WHY_BYTES])
{
	char got[ACTION_VALUE_BYTES];
	int rc = host_write(sys, a->value, "kernel/mm/hugepages/hugepages-%skB/nr_hugepages", a->object);

	if (rc < 0)
		return why_fail(why, -rc, "huge pages of %s kB: %s", a->object, strerror(-rc));
	rc = action_now(sys, a, got, why);
	if (rc < 0 || strtoull(got, NULL, 10) >= strtoull(a->value, NULL, 10))
		return rc;
	host_write(sys, before, "kernel/mm/hugepages/hugepages-%skB/nr_hugepages", a->object);
	return why_fail(why, ENOMEM, "huge pages of %s kB: the kernel found memory for %s of %s; left at %s", a->object,
			got, a->value, before);
}

static bool driver_becomes(const char *sys, const char *pci, const char *wanted)
{
	char driver[NAME_MAX_BYTES];

	for (int ms = 0; ms < BIND_WAIT_MS; ms += 10) {
		if (host_driver(sys, pci, driver) == 0 && strcmp(driver, wanted) == 0)
			return true;
		usleep(10000);
	}
	return false;
}

static int unbind(const char *sys, const char *pci, const char *driver)
{
	int rc = strcmp(driver, "-") == 0 ? 0 : host_write(sys, pci, "bus/pci/drivers/%s/unbind", driver);

	return rc < 0 ? rc : driver_becomes(sys, pci, "-") ? 0 : -EBUSY;
}

// driver_override names the one driver that may have the device (kernel Documentation/ABI, sysfs-bus-pci).
static int bind_to(const char *sys, const char *pci, const char *driver)
{
	bool none = strcmp(driver, "-") == 0;
	int rc = host_write(sys, none ? "\n" : driver, "bus/pci/devices/%s/driver_override", pci);

	if (rc < 0 || none)
		return rc;
	rc = host_write(sys, pci, "bus/pci/drivers/%s/bind", driver);
	if (rc == 0 && !driver_becomes(sys, pci, driver))
		rc = -EIO;
	if (rc == 0 && strcmp(driver, "vfio-pci") != 0)
		rc = host_write(sys, "\n", "bus/pci/devices/%s/driver_override", pci); // the kernel's own choice again
	return rc;
}

static int set_driver(const char *sys, const struct action *a, const char *before, char why[ACTION_WHY_BYTES])
{
	int rc;

	rc = unbind(sys, a->object, before);
	if (rc < 0)
		return why_fail(why, -rc, "%s: %s does not let go of it: %s", a->object, before, strerror(-rc));
	rc = bind_to(sys, a->object, a->value);
	if (rc == 0)
		return 0;
	bind_to(sys, a->object, before);
	return why_fail(why, -rc, "%s: %s does not take it: %s%s; given back to %s", a->object, a->value, strerror(-rc),
			strcmp(a->value, "vfio-pci") == 0 && !host_has_iommu(sys) ? " (no IOMMU: enable it in firmware)"
										  : "",
			before);
}

static int set_rss(const struct action *a)
{
	uint8_t key[RSS_KEY_MAX];
	uint32_t len = (uint32_t)strlen(a->value) / 2;

	for (uint32_t i = 0; i < len; i++) {
		const char two[3] = {a->value[2 * i], a->value[2 * i + 1]};

		key[i] = (uint8_t)strtoul(two, NULL, 16);
	}
	return eth_set_rss_key(a->object, key, len);
}

static int set_interface(const struct action *a, char why[ACTION_WHY_BYTES])
{
	uint32_t number = (uint32_t)strtoul(a->value, NULL, 10);
	int rc;

	if (a->verb == VERB_UP)
		rc = eth_set_up(a->object, number != 0);
	else if (a->verb == VERB_MTU)
		rc = eth_set_mtu(a->object, number);
	else if (a->verb == VERB_RSS)
		rc = set_rss(a);
	else
		rc = eth_set_queues(a->object, number);
	return rc < 0 ? why_fail(why, -rc, "%s %s %s: %s", verbs[a->verb].name, a->object, a->value, strerror(-rc)) : 0;
}

int action_can(const char *sys, const struct action *a, char why[ACTION_WHY_BYTES])
{
	uint32_t wanted = (uint32_t)strtoul(a->value, NULL, 10), has, max = 0;
	char now[ACTION_VALUE_BYTES];
	int rc = action_now(sys, a, now, why);

	if (rc < 0 || strcmp(now, a->value) == 0)
		return rc;
	if (a->verb == VERB_DRIVER && strcmp(a->value, "-") != 0 && !host_has_driver(sys, a->value))
		return why_fail(why, ENOENT, "driver %s: not loaded (modprobe %s)", a->value, a->value);
	if (a->verb == VERB_QUEUES && eth_queues(a->object, &has, &max) == 0 && wanted > max)
		return why_fail(why, EINVAL, "queues %s: %u wanted, at most %u there", a->object, wanted, max);
	return 0;
}

int action_do(const char *sys, const struct action *a, struct action *undo, char why[ACTION_WHY_BYTES])
{
	int rc = action_can(sys, a, why);

	if (rc == 0)
		rc = action_now(sys, a, undo->value, why);
	if (rc < 0)
		return rc;
	undo->verb = a->verb;
	memcpy(undo->object, a->object, sizeof(undo->object));
	if (strcmp(undo->value, a->value) == 0)
		return 1;
	if (a->verb == VERB_HUGE)
		return set_huge(sys, a, undo->value, why);
	if (a->verb == VERB_DRIVER)
		return set_driver(sys, a, undo->value, why);
	return set_interface(a, why);
}
