// SPDX-License-Identifier: Apache-2.0
#include "dp_ports.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <rte_cycles.h>
#include <rte_memory.h>

#include "dp_figures.h"
#include "dp_filter.h"
#include "dp_log.h"
#include "dp_priv.h"
#include "dp_reconnect.h"
#include "nic-config/interface.h"
#include "nic-config/port_shaper.h"
#include "sched.h"
#include "sched_slots.h"

#define CLASSES_LEAST 4096U // of a port, however many ports there are
#define LOW_LIMIT_FRAMES 4  // more would be seconds of delay at 100 kb/s, and buffers that others need
#define RETRY_NS INT64_C(1000000000)
#define RETRY_SOON_NS (RETRY_NS / 10) // the first time
#define BUSY_TRIES 20                 // of a device at the start
#define CHANGES 64
#define WAITS 256 // limits that forget a port at once

static_assert(PORT_QUEUES_MAX <= WORKERS_QUEUES_MAX, "every queue is received from");

// --- one port

bool dp_has_port(const struct dp *dp, uint16_t i)
{
	return i < WORKER_PORTS_MAX && dp->port[i].name != NULL;
}

static void forget_port(struct dp_port *port)
{
	free(port->name);
	free(port->device);
	*port = (struct dp_port){0};
}

static int name_port(struct dp_port *port, const struct dp_port_conf *conf, struct err *err)
{
	*port = (struct dp_port){
		.name = strdup(conf->name), .device = strdup(conf->device), .rate_bps = conf->rate_bps};
	if (port->name != NULL && port->device != NULL)
		return 0;
	forget_port(port);
	return err_set(err, ENOMEM, "port %s: no memory", conf->name);
}

static uint32_t frame_bytes(const struct dp *dp)
{
	return dp->conf->mtu + PORT_L2_OVERHEAD_BYTES;
}

// A card that can bounds what leaves it; the scheduler decides all the same.
static void shaper_up(const struct dp *dp, struct dp_port *port)
{
	char why[PORT_ERR_MAX];
	int rc;

	if (port->rate_bps == 0)
		return;
	rc = port_shaper_set(port->port_id, port->rate_bps, frame_bytes(dp), why);
	if (rc < 0 && rc != -ENOTSUP && !port->shaper_refused) {
		dp_notice("port %s: its rate is kept by the scheduler alone, not by the device: %s", port->name, why);
		port->shaper_refused = true;
	}
}

static int open_device(struct dp *dp, struct dp_port *port, struct err *err)
{
	struct port_conf conf = {.name = port->name,
				 .device = port->device,
				 .n_queues = dp->n_workers,
				 .mtu = (uint16_t)dp->conf->mtu,
				 .pool = dp->pool};
	char why[PORT_ERR_MAX];
	struct port_caps caps;
	int ret;

	ret = dp_pool_has(dp, port, port_queues(port->device, dp->n_workers), err);
	if (ret < 0)
		return ret;
	if (!dp->pool_is_for_dma && port->device != NULL && strncmp(port->device, "pci:", 4) == 0)
		return err_set(err, ENOTSUP,
			       "port %s (%s): the packet buffers are not where PCI devices see them: start the switch "
			       "with a PCI port",
			       port->name, port->device);
	ret = port_open(&conf, &port->port_id, why);
	port->opened = ret == 0;
	if (ret == 0 && why[0] != '\0')
		dp_warning("port %s (%s): %s", port->name, port->device, why);
	if (ret == 0)
		shaper_up(dp, port);
	if (ret == 0)
		ret = port_start(port->port_id, why);
	if (ret < 0)
		return err_set(err, -ret, "port %s (%s): %s", port->name, port->device, why);
	ret = port_caps_get(port->port_id, &caps);
	if (ret < 0)
		return err_set(err, -ret, "port %s (%s): what it is cannot be read: %s", port->name, port->device,
			       strerror(-ret));
	caps.max_frame_bytes = (uint16_t)RTE_MIN(caps.max_frame_bytes, frame_bytes(dp));
	port->caps = caps;
	return 0;
}

// Nobody uses it any more.
static void close_device(struct dp_port *port)
{
	if (port->opened)
		port_close(port->port_id);
	port->opened = false;
}

// Open, or as before. Meanwhile nobody is told of it.
static int open_or_close(struct dp *dp, struct dp_port *port, struct err *err)
{
	int ret;

	dp_telemetry_hold(true);
	ret = open_device(dp, port, err);
	if (ret < 0)
		close_device(port);
	dp_telemetry_hold(false);
	return ret;
}

static struct sched_conf sched_conf_of(const struct dp *dp, const struct dp_port *port)
{
	return (struct sched_conf){.rate_bps = port->rate_bps,
				   .tsc_hz = rte_get_tsc_hz(),
				   .mtu_bytes = frame_bytes(dp),
				   .queue_bytes_min = LOW_LIMIT_FRAMES * frame_bytes(dp),
				   .packets_max = dp->queued_max,
				   .classes_max = RTE_MAX(SCHED_CLASSES_MAX / dp->conf->n_ports, CLASSES_LEAST),
				   .socket_id = SOCKET_ID_ANY};
}

struct workers_port dp_port_for_workers(const struct dp_port *port)
{
	struct workers_port out = {.absent = !port->opened,
				   .port_id = port->port_id,
				   .max_frame_bytes = port->caps.max_frame_bytes,
				   .n_rx_queues = port->caps.n_rx_queues,
				   .n_tx_queues = port->caps.n_tx_queues,
				   .sched = port->sched,
				   .shaped = port->rate_bps != 0,
				   .partial_checksums = port->caps.partial_checksums};

	if (out.absent)
		return out;
	for (int fd; out.n_wait_fds < RTE_MIN(out.n_rx_queues, WORKERS_QUEUES_MAX);
	     out.wait_fd[out.n_wait_fds++] = fd) {
		fd = port_wait_fd(out.port_id, out.n_wait_fds);
		if (fd < 0)
			break;
	}
	return out;
}

// Ports that can, drop by themselves what is denied outright.
static void filter_up(struct dp *dp, uint16_t i)
{
	const struct dp_port *port = &dp->port[i];
	char why[PORT_ERR_MAX];
	struct drop_filter *filter;
	int rc;

	if (!port->opened)
		return;
	rc = drop_filter_open(port->device, port->port_id, &filter, why);
	if (rc < 0 && rc != -ENOTSUP)
		dp_notice("port %s: what is denied is dropped by the worker alone: %s", port->name, why);
	else if (rc == 0 && dp_filter_port_add(dp_policy_filter(dp->policy), i, filter) < 0)
		drop_filter_close(filter);
}

// --- at the start

// A device that is not there is waited for. What else is wrong is for whoever starts the switch to see at once; later
// nobody is there to see it, and the other ports carry on.
static int open_first(struct dp *dp, struct dp_port *port, struct err *err)
{
	const struct timespec a_little = {.tv_nsec = RETRY_SOON_NS};
	int ret = open_or_close(dp, port, err);

	// perhaps by the switch that was here just now; one that is started again tries later, beside the other ports
	for (int i = 0; ret == -EBUSY && !dp->conf->again && i < BUSY_TRIES; i++) {
		nanosleep(&a_little, NULL);
		ret = open_or_close(dp, port, err);
	}
	port->up = ret == 0; // as the workers take it; dp_ports_turn looks
	if (ret == 0)
		return 0;
	port->failed = port_device_is_there(port->device);
	port->tried = port->failed;
	if (port->failed && !dp->conf->again)
		return ret;
	dp_warning("%s: %s", err->msg, port->failed ? "tried again each second" : "waited for");
	return 0;
}

int dp_ports_up(struct dp *dp, struct err *err)
{
	int ret = 0;

	interface_keep_in(dp->conf->interfaces_path);
	for (uint32_t i = 0; i < dp->conf->n_ports && ret == 0; i++)
		ret = name_port(&dp->port[i], &dp->conf->ports[i], err);
	for (uint32_t i = 0; i < dp->conf->n_ports && ret == 0; i++) // of the buffers each has its part by now
		ret = open_first(dp, &dp->port[i], err);
	if (ret == 0)
		interface_restore_left(); // whose process was killed
	return ret;
}

void dp_ports_down(struct dp *dp)
{
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp->port[i].opened)
			port_close(dp->port[i].port_id);
		forget_port(&dp->port[i]);
	}
	port_plan_clear(&dp->plan);
}

int dp_scheds_up(struct dp *dp, struct err *err)
{
	dp->log = sched_log_create(1, err);
	if (dp->log == NULL)
		return -err->code;
	dp->limits = sched_limits_create(rte_get_tsc_hz(), frame_bytes(dp), SOCKET_ID_ANY, err);
	if (dp->limits == NULL)
		return -err->code;
	for (uint32_t i = 0; i < dp->conf->n_ports; i++) {
		struct sched_conf conf = sched_conf_of(dp, &dp->port[i]);

		dp->port[i].sched = sched_create(&conf, dp->limits, err);
		if (dp->port[i].sched == NULL)
			return -err->code;
	}
	return 0;
}

void dp_scheds_down(struct dp *dp)
{
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++)
		sched_destroy(dp->port[i].sched);
	if (dp->limits != NULL)
		sched_limits_destroy(dp->limits);
	sched_log_destroy(dp->log);
}

int dp_filters_up(struct dp *dp, struct err *err)
{
	for (uint16_t i = 0; i < dp->conf->n_ports; i++)
		filter_up(dp, i);
	return 0;
}

void dp_filters_down(struct dp *dp)
{
	for (uint16_t i = 0; i < WORKER_PORTS_MAX && dp->policy != NULL; i++)
		dp_filter_port_del(dp_policy_filter(dp->policy), i);
}

// --- what is told

static void tell(struct dp *dp, uint16_t i)
{
	const struct dp_port *port = &dp->port[i];
	struct proto_port msg = {.port = i, .up = port->up, .rate_bps = port->rate_bps};

	memcpy(msg.mac, port->caps.mac, sizeof(msg.mac));
	if (port->name != NULL) {
		snprintf(msg.name, sizeof(msg.name), "%s", port->name);
		snprintf(msg.device, sizeof(msg.device), "%s", port->device);
	}
	if (dp->link != NULL)
		link_port(dp->link, &msg); // sent when something changed
}

static void log_state(const struct dp_port *port)
{
	char rate[48] = "no configured rate";

	if (port->rate_bps != 0)
		snprintf(rate, sizeof(rate), "%" PRIu64 ".%03" PRIu64 " Mb/s", port->rate_bps / 1000000,
			 port->rate_bps / 1000 % 1000);
	dp_notice("port %s: %s, %s, %s", port->name, port->device, port->up ? "up" : "down", rate);
}

// --- devices that come and go

static void lose_device(struct dp *dp, uint16_t i)
{
	struct dp_port *port = &dp->port[i];

	dp_telemetry_hold(true);
	workers_port_detach(dp->workers, i);
	dp_filter_port_del(dp_policy_filter(dp->policy), i);
	close_device(port);
	port->up = false;
	dp_telemetry_hold(false);
	port->retry_ns = 0;
	port->cut = port->broken = false;
}

// Waits for its device, and says so once: not the first time, when the kernel may be about to let go of the queues of a
// port that was closed just now.
static void try_device(struct dp *dp, uint16_t i, int64_t mono_ns)
{
	struct dp_port *port = &dp->port[i];
	struct workers_port conf;
	struct err err;

	if (open_or_close(dp, port, &err) < 0) {
		if (port->tried && !port->failed)
			dp_warning("%s: tried again each second", err.msg);
		port->failed = port->tried;
		port->retry_ns = mono_ns + (port->tried ? RETRY_NS : RETRY_SOON_NS);
		port->tried = true;
		return;
	}
	port->tried = false;
	port->failed = false;
	filter_up(dp, i);
	conf = dp_port_for_workers(port);
	dp_telemetry_hold(true);
	workers_port_attach(dp->workers, i, &conf);
	port->up = true;
	dp_telemetry_hold(false);
	port->told = false;
}

// Whether it receives. Others may have cut it off from its interface.
static bool receives(struct dp_port *port)
{
	char why[PORT_ERR_MAX];
	int rc = port_keep(port->port_id, why);

	if (rc > 0 || (rc < 0 && !port->cut))
		dp_warning("port %s (%s): %s", port->name, port->device, why);
	port->cut = rc < 0;
	return rc >= 0;
}

// --- ports that the configuration adds and takes away

static void drain_log(struct dp *dp)
{
	struct sched_change changes[CHANGES];
	uint32_t n;

	while ((n = sched_log_read(dp->log, 0, changes, CHANGES)) > 0)
		sched_apply(dp->limits, changes, n, rte_rdtsc());
}

static void catch_up(void *sched, const struct sched_change *change)
{
	sched_catch_up(sched, change, 1);
}

// The scheduler knows at once what all others do: this is the thread that changes it, and nothing changes meanwhile.
static int sched_up(struct dp *dp, struct dp_port *port, struct err *err)
{
	struct sched_conf conf = sched_conf_of(dp, port);

	port->sched = sched_create_apart(&conf, dp->limits, err);
	if (port->sched == NULL)
		return -err->code;
	sched_slots_each(dp_policy_slots(dp->policy), catch_up, port->sched);
	workers_hold(dp->workers);
	drain_log(dp);
	sched_join(port->sched);
	workers_release(dp->workers);
	return 0;
}

// While the workers are held nothing is looked for.
static void sched_down(struct dp *dp, struct sched *s)
{
	uint32_t limit[WAITS], n;

	while ((n = sched_take_waits(s, limit, WAITS)) > 0) {
		workers_hold(dp->workers);
		sched_limits_forget(dp->limits, limit, n);
		workers_release(dp->workers);
	}
	sched_destroy(s);
}

static void remove_port(struct dp *dp, uint16_t i)
{
	struct dp_port *port = &dp->port[i];

	dp_notice("port %s: %s, removed", port->name, port->device);
	lose_device(dp, i);
	dp_telemetry_hold(true);
	workers_hold(dp->workers);
	workers_port_forget(dp->workers, i);
	dp_filter_port_forget(dp_policy_filter(dp->policy), i);
	sched_leave(port->sched);
	workers_release(dp->workers);
	dp_telemetry_hold(false);
	sched_down(dp, port->sched);
	dp_telemetry_hold(true);
	forget_port(port);
	dp_telemetry_hold(false);
	tell(dp, i);
}

// A number that was not given out for long: what is known of a port that went is forgotten by and by.
static int free_number(struct dp *dp, uint16_t *out)
{
	if (dp_pool_n_parts_left(dp) == 0)
		return -ENOMEM;
	for (uint16_t k = 1; k <= WORKER_PORTS_MAX; k++) {
		*out = (uint16_t)((dp->last_number + k) % WORKER_PORTS_MAX);
		if (!dp_has_port(dp, *out)) {
			dp->last_number = *out;
			return 0;
		}
	}
	return -ENOSPC;
}

static void add_port(struct dp *dp, const struct dp_port_conf *conf)
{
	struct dp_port made = {0};
	struct err err;
	uint16_t i;
	int ret = free_number(dp, &i);

	if (ret == -ENOMEM)
		err_set(&err, ENOMEM, "memory_mb: %u has no buffers for one more port; a restart divides them anew",
			dp->conf->memory_mb);
	else if (ret < 0)
		err_set(&err, ENOSPC, "%u ports are all there can be", WORKER_PORTS_MAX);
	else if (name_port(&made, conf, &err) == 0 && sched_up(dp, &made, &err) == 0) {
		dp_telemetry_hold(true);
		dp->port[i] = made;
		dp_telemetry_hold(false);
		dp_notice("port %s: %s, added", conf->name, conf->device);
		return; // dp_ports_turn opens the device
	}
	forget_port(&made);
	dp_error("port %s is not added: %s", conf->name, err.msg);
}

static bool is_there(const struct dp *dp, const struct dp_port_conf *conf)
{
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp_has_port(dp, i) && strcmp(dp->port[i].name, conf->name) == 0)
			return true;
	}
	return false;
}

void dp_ports_reload(struct dp *dp)
{
	const struct dp_port_conf *ports;
	struct err err;
	uint32_t n;

	*dp->conf->reload_asked = false;
	if (dp->conf->reload(dp->conf->reload_ctx, &ports, &n, &err) < 0 ||
	    port_plan_set(&dp->plan, ports, n, &err) < 0)
		dp_error("ports stay as they are: %s", err.msg);
}

// Takes one port away, or else adds one.
static void follow_plan(struct dp *dp)
{
	const struct dp_port_conf *conf;

	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		const struct dp_port *port = &dp->port[i];

		if (dp_has_port(dp, i) && !port_plan_has(&dp->plan, port->name, port->device, port->rate_bps)) {
			remove_port(dp, i);
			return;
		}
	}
	while ((conf = port_plan_next(&dp->plan)) != NULL) {
		if (!is_there(dp, conf)) {
			add_port(dp, conf);
			return;
		}
	}
	port_plan_clear(&dp->plan);
}

// --- the turn

static bool is_gone(const struct dp_port *port)
{
	return port->opened && port_is_gone(port->port_id);
}

// Its device is not what was opened.
static bool must_go(const struct dp_port *port)
{
	char why[PORT_ERR_MAX];

	return port->opened && (port->broken || port_is_gone(port->port_id) || port_queues_changed(port->port_id, why));
}

static bool may_come(const struct dp_port *port, int64_t mono_ns)
{
	return port->name != NULL && !port->opened && mono_ns >= port->retry_ns && port_device_is_there(port->device);
}

// The next port whose device is to be closed or opened: they take turns, as one that does not open takes its time.
// WORKER_PORTS_MAX: none.
static uint16_t next_due(const struct dp *dp, int64_t mono_ns)
{
	for (uint16_t k = 1; k <= WORKER_PORTS_MAX; k++) {
		uint16_t i = (uint16_t)((dp->last_changed + k) % WORKER_PORTS_MAX);

		if (must_go(&dp->port[i]) || may_come(&dp->port[i], mono_ns))
			return i;
	}
	return WORKER_PORTS_MAX;
}

static void change_device(struct dp *dp, uint16_t i, int64_t mono_ns)
{
	struct dp_port *port = &dp->port[i];
	char why[PORT_ERR_MAX];

	dp->last_changed = i;
	if (!port->opened) {
		try_device(dp, i, mono_ns);
		return;
	}
	if (is_gone(port))
		dp_warning("port %s: %s is gone; it is opened again when it is back", port->name, port->device);
	else if (port_queues_changed(port->port_id, why))
		dp_warning("port %s (%s): %s; it is opened again with these", port->name, port->device, why);
	lose_device(dp, i);
}

// A port that is new is told when its device was tried.
static void follow_state(struct dp *dp, uint16_t i, int64_t mono_ns)
{
	struct dp_port *port = &dp->port[i];
	bool up;

	if (!port->told && may_come(port, mono_ns))
		return;
	if (port->opened)
		dp_reconnect(dp, port, mono_ns);
	up = port->opened && !is_gone(port) && receives(port) && port_is_up(port->port_id);
	if (up != port->up || !port->told) {
		dp_telemetry_hold(true);
		port->up = up;
		dp_telemetry_hold(false);
		port->told = true;
		workers_port_set_up(dp->workers, i, up);
		log_state(port);
		dp_reconnect_later(port, mono_ns);
	}
	tell(dp, i);
}

bool dp_ports_turn(struct dp *dp, int64_t mono_ns)
{
	uint16_t due = WORKER_PORTS_MAX;

	if (dp->plan.ports != NULL)
		follow_plan(dp);
	else
		due = next_due(dp, mono_ns);
	if (due != WORKER_PORTS_MAX)
		change_device(dp, due, mono_ns);
	for (uint16_t i = 0; i < WORKER_PORTS_MAX; i++) {
		if (dp->port[i].name != NULL)
			follow_state(dp, i, mono_ns);
	}
	return dp->plan.ports != NULL || next_due(dp, mono_ns) != WORKER_PORTS_MAX;
}
