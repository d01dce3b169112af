// SPDX-License-Identifier: Apache-2.0
#include "plan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <rte_pci.h>

#include "ethtool.h"
#include "nic-config/port.h"

#define HUGE_KB 2048
#define RSS_KEY_MAX 256

static int add(struct plan *plan, enum verb verb, const char *object, const char *value, char why[ACTION_WHY_BYTES])
{
	struct action *a = &plan->action[plan->n];

	if (plan->n == PLAN_MAX)
		return why_fail(why, E2BIG, "more than %d changes", PLAN_MAX);
	a->verb = verb;
	snprintf(a->object, sizeof(a->object), "%s", object);
	snprintf(a->value, sizeof(a->value), "%s", value);
	plan->n++;
	return 0;
}

static int add_number(struct plan *plan, enum verb verb, const char *object, uint32_t n, char why[ACTION_WHY_BYTES])
{
	char value[16];

	snprintf(value, sizeof(value), "%u", n);
	return add(plan, verb, object, value, why);
}

// Never fewer than there are: others may use them.
int plan_memory(const char *sys, const struct plan_wish *wish, struct plan *plan, char why[ACTION_WHY_BYTES])
{
	uint32_t pages = (uint32_t)((wish->huge_mb * UINT64_C(1024) + HUGE_KB - 1) / HUGE_KB);
	struct action now = {.verb = VERB_HUGE, .object = "2048"};
	int rc;

	if (pages == 0)
		return 0;
	rc = action_now(sys, &now, now.value, why);
	if (rc < 0 || strtoull(now.value, NULL, 10) >= pages)
		return rc;
	return add_number(plan, VERB_HUGE, "2048", pages, why);
}

// The same hash for both directions of a flow: a key of 16 bits repeated (Woo and Park, "Scalable TCP Session
// Monitoring with Symmetric Receive-side Scaling", 2012).
static int plan_rss(const char *interface, struct plan *plan, char why[ACTION_WHY_BYTES])
{
	char value[ACTION_VALUE_BYTES] = "";
	uint8_t key[RSS_KEY_MAX];
	uint32_t len;

	if (eth_rss_key(interface, key, sizeof(key), &len) < 0)
		return 0; // virtual devices have none; queues are then filled as the device likes
	for (uint32_t i = 0; i < len; i++)
		snprintf(value + 2 * (size_t)i, 3, "%s", i % 2 == 0 ? "6d" : "5a");
	return add(plan, VERB_RSS, interface, value, why);
}

static int plan_interface(const char *interface, const struct plan_wish *wish, struct plan *plan,
			  char why[ACTION_WHY_BYTES])
{
	uint32_t mtu = 0;
	int rc = eth_mtu(interface, &mtu);

	if (rc < 0)
		return why_fail(why, -rc, "interface %s: %s", interface, strerror(-rc));
	if (wish->mtu > mtu)
		rc = add_number(plan, VERB_MTU, interface, wish->mtu, why);
	if (rc == 0 && wish->queues != 0)
		rc = add_number(plan, VERB_QUEUES, interface, wish->queues, why);
	if (rc == 0 && wish->queues > 1)
		rc = plan_rss(interface, plan, why);
	return rc < 0 ? rc : add(plan, VERB_UP, interface, "1", why);
}

// address: as ports have it, perhaps without the domain; sysfs names the whole one. Who works on this machine over the
// network loses it with the card.
static int plan_pci(const char *sys, const char *address, const struct plan_wish *wish, struct plan *plan,
		    char why[ACTION_WHY_BYTES])
{
	char pci[NAME_MAX_BYTES], driver[NAME_MAX_BYTES], interface[NAME_MAX_BYTES], ip[NAME_MAX_BYTES];
	struct rte_pci_addr parsed;
	int rc = rte_pci_addr_parse(address, &parsed) < 0 ? -EINVAL : 0;

	if (rc == 0) {
		rte_pci_device_name(&parsed, pci, sizeof(pci));
		rc = host_driver(sys, pci, driver);
	}
	if (rc < 0)
		return why_fail(why, -rc, "pci:%s: there is no such PCI device", address);
	if (!wish->force && host_pci_in_use(sys, pci, interface, ip))
		return why_fail(why, EBUSY,
				"pci:%s: this host uses it: interface %s is up with address %s, which the switch would "
				"take away; --force if that is meant",
				address, interface, ip);
	return add(plan, VERB_DRIVER, pci, "vfio-pci", why);
}

int plan_device(const char *sys, const char *device, const struct plan_wish *wish, struct plan *plan,
		char why[ACTION_WHY_BYTES])
{
	char arg[NAME_MAX_BYTES] = "";
	const char *colon;
	int rc = port_device_check(device, why);

	if (rc < 0)
		return rc;
	colon = strchr(device, ':') + 1;
	snprintf(arg, sizeof(arg), "%.*s", (int)strcspn(colon, ","), colon);
	if (strncmp(device, "af_", 3) == 0)
		return plan_interface(arg, wish, plan, why);
	if (strncmp(device, "pci:", 4) != 0)
		return 0;
	return plan_pci(sys, arg, wish, plan, why);
}
