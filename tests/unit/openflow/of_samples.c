// SPDX-License-Identifier: Apache-2.0
// Writes one message of each kind that the controller sends into DIR/<name>.bin, and prints a line each:
// name <tab> what ovs-ofctl must say of it <tab> what tshark must say of it.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/of_wire.h"

#define V10 OF_VERSION_10
#define V13 OF_VERSION_13

static const uint8_t arp_frame[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2, 0,  0, 0, 0, 1, 8, 6, 0, 1, 8, 0,  6, 4, 0,
				    1,    2,    0,    0,    0,    0,    1, 10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 10, 0, 0, 2};

static void write_message(const char *dir, const char *name, const struct of_msg *m, const char *ovs,
			  const char *tshark)
{
	static uint8_t buf[OF_MSG_MAX];
	char path[512];
	struct err err;
	FILE *f;
	int n = of_encode(m, buf, sizeof(buf), &err);

	if (n < 0) {
		fprintf(stderr, "%s: %s\n", name, err.msg);
		exit(1);
	}
	snprintf(path, sizeof(path), "%s/%s.bin", dir, name);
	f = fopen(path, "wb");
	if (f == NULL || fwrite(buf, 1, (size_t)n, f) != (size_t)n || fclose(f) != 0) {
		perror(path);
		exit(1);
	}
	printf("%s\t%s\t%s\n", name, ovs, tshark);
}

static struct of_msg flow_mod(uint8_t version)
{
	struct of_msg m = {.version = version, .type = OF_FLOW_MOD, .xid = 9};
	struct of_flow_mod *f = &m.flow_mod;

	f->cookie = 0x1234;
	f->priority = 1000;
	f->hard_s = 30;
	f->flags = OF_FLOW_SEND_REMOVED;
	f->buffer_id = OF_NO_BUFFER;
	f->out_port = OF_PORT_ANY;
	f->out_group = OF_GROUP_ANY;
	f->instructions.goto_table = OF_TABLE_ALL;
	f->match.has =
		OF_HAS_IN_PORT | OF_HAS_ETH_TYPE | OF_HAS_IP_PROTO | OF_HAS_IP4_SRC | OF_HAS_L4_DST | OF_HAS_VLAN;
	f->match.in_port = 3;
	f->match.eth_type = 0x0800;
	f->match.ip_proto = 6;
	f->match.ip4_src = 0x0a000000;
	f->match.ip4_src_mask = 0xff000000;
	f->match.l4_dst = 80;
	f->match.l4_dst_mask = 0xffff;
	f->match.vlan = OF_VLAN_NONE;
	return m;
}

static void flow_mods(const char *dir)
{
	struct of_msg m = flow_mod(V10);

	m.flow_mod.instructions.n_actions = 2;
	m.flow_mod.instructions.actions[0] = (struct of_action){.type = OF_ACT_ENQUEUE, .port = 2, .queue = 7};
	m.flow_mod.instructions.actions[1] = (struct of_action){.type = OF_ACT_OUTPUT, .port = 4};
	write_message(
		dir, "flow_mod_10", &m,
		"ADD priority=1000,tcp,in_port=3,vlan_tci=0x0000,nw_src=10.0.0.0/8,tp_dst=80 cookie:0x1234 hard:30 "
		"send_flow_rem actions=enqueue:2:7,output:4",
		"Destination Port: 80");
	m = flow_mod(V13);
	m.flow_mod.table = 1;
	m.flow_mod.instructions.meter = 5;
	m.flow_mod.instructions.goto_table = 2;
	m.flow_mod.instructions.n_actions = 3;
	m.flow_mod.instructions.actions[0] = (struct of_action){.type = OF_ACT_PUSH_VLAN};
	m.flow_mod.instructions.actions[1] = (struct of_action){.type = OF_ACT_VLAN, .vlan = 100};
	m.flow_mod.instructions.actions[2] = (struct of_action){.type = OF_ACT_QUEUE, .queue = 7};
	write_message(dir, "flow_mod_13", &m,
		      "actions=meter:5,push_vlan:0x8100,set_field:4196->vlan_vid,set_queue:7,goto_table:2",
		      "Type: OFPIT_METER (6)");
	m.flow_mod.match = (struct of_match){.has = OF_HAS_ETH_TYPE | OF_HAS_IP6_DST | OF_HAS_IP_PROTO | OF_HAS_L4_SRC,
					     .eth_type = 0x86dd,
					     .ip_proto = 17,
					     .l4_src = 0x4000,
					     .l4_src_mask = 0xc000,
					     .ip6_dst = {0x20, 0x01, 0x0d, 0xb8},
					     .ip6_dst_mask = {0xff, 0xff, 0xff, 0xff}};
	m.flow_mod.command = OF_FLOW_DELETE_STRICT;
	m.flow_mod.instructions = (struct of_instructions){.goto_table = OF_TABLE_ALL};
	write_message(dir, "flow_del_13", &m,
		      "DEL_STRICT table:1 priority=1000,udp6,ipv6_dst=2001:db8::/32,tp_src=0x4000/0xc000",
		      "Command: OFPFC_DELETE_STRICT (4)");
}

static void sessions(const char *dir, uint8_t version)
{
	struct of_msg m = {.version = version, .type = OF_HELLO, .xid = 1, .hello = {version == V13 ? 0x12 : 0}};
	const uint8_t culprit[] = {version, 2, 0, 8, 0, 0, 0, 9};
	const char *v = version == V10 ? "10" : "13";
	char name[64];

	snprintf(name, sizeof(name), "hello_%s", v);
	write_message(dir, name, &m, version == V10 ? "OFPT_HELLO (xid=0x1)" : "version bitmap: 0x01, 0x04",
		      "OFPT_HELLO (0)");
	m = (struct of_msg){.version = version, .type = OF_ECHO_REQUEST, .xid = 2};
	snprintf(name, sizeof(name), "echo_%s", v);
	write_message(dir, name, &m, "OFPT_ECHO_REQUEST", "OFPT_ECHO_REQUEST (2)");
	m = (struct of_msg){.version = version, .type = OF_FEATURES_REQUEST, .xid = 3};
	snprintf(name, sizeof(name), "features_%s", v);
	write_message(dir, name, &m, "OFPT_FEATURES_REQUEST", "OFPT_FEATURES_REQUEST (5)");
	m = (struct of_msg){.version = version, .type = OF_BARRIER_REQUEST, .xid = 4};
	snprintf(name, sizeof(name), "barrier_%s", v);
	write_message(dir, name, &m, "OFPT_BARRIER_REQUEST", "OFPT_BARRIER_REQUEST");
	m = (struct of_msg){.version = version, .type = OF_SET_CONFIG, .config = {.miss_send_len = 0xffff}};
	snprintf(name, sizeof(name), "set_config_%s", v);
	write_message(dir, name, &m, "miss_send_len=65535", "OFPT_SET_CONFIG (9)");
	m = (struct of_msg){.version = version, .type = OF_ERROR, .error = {.type = 1, .code = 5}};
	m.error.data = culprit;
	m.error.data_len = sizeof(culprit);
	snprintf(name, sizeof(name), "error_%s", v);
	write_message(dir, name, &m, "OFPT_ERROR", "OFPT_ERROR (1)");
	m = (struct of_msg){.version = version, .type = OF_PACKET_OUT};
	m.packet_out = (struct of_packet_out){.buffer_id = OF_NO_BUFFER, .in_port = OF_PORT_CONTROLLER, .n_actions = 1};
	m.packet_out.actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = 5};
	m.packet_out.data = arp_frame;
	m.packet_out.data_len = sizeof(arp_frame);
	snprintf(name, sizeof(name), "packet_out_%s", v);
	write_message(dir, name, &m, "arp_spa=10.0.0.1,arp_tpa=10.0.0.2", "OFPT_PACKET_OUT (13)");
}

static void multiparts(const char *dir, uint8_t version)
{
	struct of_msg m = {.version = version, .type = OF_MULTIPART_REQUEST, .xid = 5};
	const char *v = version == V10 ? "10" : "13";
	char name[64];

	m.mp = (struct of_mp){.kind = OF_MP_DESC};
	snprintf(name, sizeof(name), "mp_desc_%s", v);
	write_message(dir, name, &m, "OFPST_DESC request", version == V10 ? "OFPST_DESC (0)" : "OFPMP_DESC (0)");
	m.mp = (struct of_mp){
		.kind = OF_MP_FLOW, .table = OF_TABLE_ALL, .out_port = OF_PORT_ANY, .out_group = OF_GROUP_ANY};
	snprintf(name, sizeof(name), "mp_flow_%s", v);
	write_message(dir, name, &m, "OFPST_FLOW request", version == V10 ? "OFPST_FLOW (1)" : "OFPMP_FLOW (1)");
	m.mp = (struct of_mp){.kind = OF_MP_PORT_STATS, .port = OF_PORT_ANY};
	snprintf(name, sizeof(name), "mp_port_%s", v);
	write_message(dir, name, &m, "OFPST_PORT request", version == V10 ? "OFPST_PORT (4)" : "OFPMP_PORT_STATS (4)");
	m.mp = (struct of_mp){.kind = OF_MP_QUEUE, .port = OF_PORT_ANY, .queue = UINT32_MAX};
	snprintf(name, sizeof(name), "mp_queue_%s", v);
	write_message(dir, name, &m, "OFPST_QUEUE request", version == V10 ? "OFPST_QUEUE (5)" : "OFPMP_QUEUE (5)");
	m.mp = (struct of_mp){.kind = OF_MP_TABLE};
	snprintf(name, sizeof(name), "mp_table_%s", v);
	write_message(dir, name, &m, "OFPST_TABLE request", version == V10 ? "OFPST_TABLE (3)" : "OFPMP_TABLE (3)");
	m = (struct of_msg){.version = version, .type = OF_QUEUE_GET_CONFIG_REQUEST, .queue_config = {.port = 2}};
	snprintf(name, sizeof(name), "queue_config_%s", v);
	write_message(dir, name, &m, "OFPT_QUEUE_GET_CONFIG_REQUEST", "OFPT_QUEUE_GET_CONFIG_REQUEST");
}

static void only_13(const char *dir)
{
	struct of_msg m = {.version = V13, .type = OF_METER_MOD};

	m.meter_mod = (struct of_meter_mod){
		.flags = OF_METER_KBPS | OF_METER_BURST | OF_METER_STATS, .meter = 5, .n_bands = 1};
	m.meter_mod.bands[0] = (struct of_band){.rate = 5000, .burst = 100};
	write_message(dir, "meter_mod", &m, "ADD meter=5 kbps burst stats bands=", "Type: OFPMBT_DROP (1)");
	m = (struct of_msg){.version = V13, .type = OF_GROUP_MOD};
	m.group_mod = (struct of_group_mod){.type = OF_GROUP_SELECT, .group = 17, .n_buckets = 2};
	for (int i = 0; i < 2; i++) {
		m.group_mod.buckets[i] =
			(struct of_bucket){.weight = 1, .watch_port = OF_PORT_ANY, .watch_group = OF_GROUP_ANY};
		m.group_mod.buckets[i].n_actions = 1;
		m.group_mod.buckets[i].actions[0] = (struct of_action){.type = OF_ACT_OUTPUT, .port = 1 + (uint32_t)i};
	}
	write_message(dir, "group_mod", &m, "ADD group_id=17,type=select,bucket=", "Type: OFPGT_SELECT (1)");
	m.group_mod.buckets[1].watch_port = 2;
	write_message(dir, "group_mod_watched", &m,
		      "type=select,bucket=actions=output:1,bucket=watch_port:2,actions=output:2", "Watch port: 2");
	m.group_mod = (struct of_group_mod){.command = 2, .type = OF_GROUP_SELECT, .group = 17};
	write_message(dir, "group_del", &m, "DEL group_id=17", "Command: OFPGC_DELETE (2)");
	m = flow_mod(V13);
	m.flow_mod.instructions.n_actions = 1;
	m.flow_mod.instructions.actions[0] = (struct of_action){.type = OF_ACT_GROUP, .group = 17};
	write_message(dir, "flow_mod_group", &m, "actions=group:17", "Type: OFPAT_GROUP (22)");
	m = (struct of_msg){.version = V13, .type = OF_ROLE_REQUEST, .role = {.role = 2, .generation = 3}};
	write_message(dir, "role", &m, "role=primary generation_id=3", "OFPCR_ROLE_MASTER");
	m = (struct of_msg){.version = V13, .type = OF_MULTIPART_REQUEST, .mp = {.kind = OF_MP_PORT_DESC}};
	write_message(dir, "mp_port_desc", &m, "OFPST_PORT_DESC request", "OFPMP_PORT_DESC (13)");
	m.mp = (struct of_mp){.kind = OF_MP_METER_CONFIG, .meter = UINT32_MAX};
	write_message(dir, "mp_meter_config", &m, "OFPST_METER_CONFIG request", "OFPMP_METER_CONFIG (10)");
	m.mp = (struct of_mp){.kind = OF_MP_METER_FEATURES};
	write_message(dir, "mp_meter_features", &m, "OFPST_METER_FEATURES request", "OFPMP_METER_FEATURES (11)");
	m.mp = (struct of_mp){.kind = OF_MP_GROUP_DESC};
	write_message(dir, "mp_group_desc", &m, "OFPST_GROUP_DESC request", "OFPMP_GROUP_DESC (7)");
	m.mp = (struct of_mp){.kind = OF_MP_GROUP_FEATURES};
	write_message(dir, "mp_group_features", &m, "OFPST_GROUP_FEATURES request", "OFPMP_GROUP_FEATURES (8)");
}

int main(int argc, char **argv)
{
	if (argc != 2) {
		fprintf(stderr, "usage: of_samples DIR\n");
		return 2;
	}
	flow_mods(argv[1]);
	sessions(argv[1], V10);
	sessions(argv[1], V13);
	multiparts(argv[1], V10);
	multiparts(argv[1], V13);
	only_13(argv[1]);
	return 0;
}
