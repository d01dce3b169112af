// SPDX-License-Identifier: Apache-2.0
#include "of_types.h"

#include "of_wire.h"

static const struct {
	int8_t wire10, wire13; // -1: none
	const char *name;
} types[OF_N_TYPES] = {
	[OF_HELLO] = {0, 0, "hello"},
	[OF_ERROR] = {1, 1, "error"},
	[OF_ECHO_REQUEST] = {2, 2, "echo_request"},
	[OF_ECHO_REPLY] = {3, 3, "echo_reply"},
	[OF_EXPERIMENTER] = {4, 4, "experimenter"},
	[OF_FEATURES_REQUEST] = {5, 5, "features_request"},
	[OF_FEATURES_REPLY] = {6, 6, "features_reply"},
	[OF_GET_CONFIG_REQUEST] = {7, 7, "get_config_request"},
	[OF_GET_CONFIG_REPLY] = {8, 8, "get_config_reply"},
	[OF_SET_CONFIG] = {9, 9, "set_config"},
	[OF_PACKET_IN] = {10, 10, "packet_in"},
	[OF_FLOW_REMOVED] = {11, 11, "flow_removed"},
	[OF_PORT_STATUS] = {12, 12, "port_status"},
	[OF_PACKET_OUT] = {13, 13, "packet_out"},
	[OF_FLOW_MOD] = {14, 14, "flow_mod"},
	[OF_GROUP_MOD] = {-1, 15, "group_mod"},
	[OF_METER_MOD] = {-1, 29, "meter_mod"},
	[OF_MULTIPART_REQUEST] = {16, 18, "multipart_request"},
	[OF_MULTIPART_REPLY] = {17, 19, "multipart_reply"},
	[OF_BARRIER_REQUEST] = {18, 20, "barrier_request"},
	[OF_BARRIER_REPLY] = {19, 21, "barrier_reply"},
	[OF_QUEUE_GET_CONFIG_REQUEST] = {20, 22, "queue_get_config_request"},
	[OF_QUEUE_GET_CONFIG_REPLY] = {21, 23, "queue_get_config_reply"},
	[OF_ROLE_REQUEST] = {-1, 24, "role_request"},
	[OF_ROLE_REPLY] = {-1, 25, "role_reply"},
};

int of_type_to_wire(uint8_t version, uint8_t type)
{
	if (type >= OF_N_TYPES)
		return -1;
	return version == OF_VERSION_10 ? types[type].wire10 : types[type].wire13;
}

int of_type_from_wire(uint8_t version, uint8_t wire)
{
	for (int type = 0; type < OF_N_TYPES; type++) {
		if (of_type_to_wire(version, (uint8_t)type) == wire)
			return type;
	}
	return -1;
}

const char *of_type_name(uint8_t type)
{
	return type < OF_N_TYPES ? types[type].name : "unknown";
}
