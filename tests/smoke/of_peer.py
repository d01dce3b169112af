#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Switches made of os-ken's OpenFlow library, as peers that are not Open vSwitch: a line of them.

  of_peer.py N PORT

Each has port 1 towards the one before, port 2 towards the one behind, and port 3 with a host 10.9.0.<i>. They keep the
flow entries they are given as os-ken reads them, answer with them as os-ken writes them, carry probes along the line, and
let every host ask by ARP once in a quiet second. Each line on standard input is answered with a line of JSON: how many
flow mods each has had, and how many entries it has. The end of standard input ends it.
"""
import json
import select
import socket
import struct
import sys

from os_ken.ofproto import ofproto_parser, ofproto_protocol
from os_ken.ofproto import ofproto_v1_3 as of
from os_ken.ofproto import ofproto_v1_3_parser as parser

HEADER = struct.Struct("!BBHI")


class Switch:
    def __init__(self, line, number, address):
        self.line, self.number = line, number
        self.protocol = ofproto_protocol.ProtocolDesc(version=of.OFP_VERSION)
        self.entries, self.flow_mods, self.rest = {}, 0, b""
        self.sock = socket.create_connection(address)
        self.send(of.OFPT_HELLO, 1, struct.pack("!HHI", 1, 8, 1 << of.OFP_VERSION))

    def send(self, kind, xid, body=b""):
        self.sock.sendall(HEADER.pack(of.OFP_VERSION, kind, HEADER.size + len(body), xid) + body)

    def packet_in(self, port, frame):
        match = bytearray()
        parser.OFPMatch(in_port=port).serialize(match, 0)
        head = struct.pack("!IHBBQ", of.OFP_NO_BUFFER, len(frame), of.OFPR_ACTION, 0, 0)
        self.send(of.OFPT_PACKET_IN, 0, head + bytes(match) + b"\0\0" + frame)

    def port(self, number):
        mac = bytes([2, 0x55, 0, 0, self.number, number])
        name = f"os{self.number}-{number}".encode()
        return struct.pack("!I4x6s2x16sIIIIIIII", number, mac, name, 0, 0, of.OFPPF_10GB_FD, 0, 0, 0, 10000000, 10000000)

    def arp(self):
        mac, ip = bytes([2, 0, 0, 9, 0, self.number]), bytes([10, 9, 0, self.number])
        self.packet_in(3, b"\xff" * 6 + mac + b"\x08\x06\0\1\x08\0\6\4\0\1" + mac + ip + b"\0" * 10 + b"\0" * 18)

    def stats(self, entry):
        body = bytearray(48)
        offset = 48 + entry.match.serialize(body, 48)
        for instruction in entry.instructions:
            instruction.serialize(body, offset)
            offset = len(body)
        struct.pack_into("!HBxIIHHHH4xQQQ", body, 0, len(body), entry.table_id, 1, 0, entry.priority,
                         entry.idle_timeout, entry.hard_timeout, 0, entry.cookie, 0, 0)
        return bytes(body)

    def flow_mod(self, msg):
        key = (msg.table_id, msg.priority, str(sorted(msg.match.items())))
        self.flow_mods += 1
        if msg.command == of.OFPFC_ADD:
            self.entries[key] = msg
        elif msg.command == of.OFPFC_DELETE_STRICT:
            self.entries.pop(key, None)

    def packet_out(self, data):
        n_actions = struct.unpack_from("!H", data, 16)[0]
        frame, offset = data[24 + n_actions:], 24
        while offset < 24 + n_actions:
            action = parser.OFPAction.parser(data, offset)
            offset += action.len
            to = {1: self.number - 1, 2: self.number + 1}.get(action.port, 0)
            if frame[12:14] == b"\x88\xcc" and 1 <= to <= len(self.line):
                self.line[to - 1].packet_in(3 - action.port, frame)

    def multipart(self, kind, xid):
        body = b""
        if kind == of.OFPMP_PORT_DESC:
            ports = [3] + [1] * (self.number > 1) + [2] * (self.number < len(self.line))
            body = b"".join(self.port(n) for n in sorted(ports))
        elif kind == of.OFPMP_FLOW:
            for entry in self.entries.values():  # one message each: the answer comes in parts
                self.send(of.OFPT_MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, 1) + self.stats(entry))
        self.send(of.OFPT_MULTIPART_REPLY, xid, struct.pack("!HH4x", kind, 0) + body)

    def message(self, data):
        version, kind, length, xid = HEADER.unpack_from(data)
        msg = None
        if kind in (of.OFPT_HELLO, of.OFPT_ERROR, of.OFPT_FLOW_MOD):  # it has no readers for others
            msg = ofproto_parser.msg(self.protocol, version, kind, length, xid, data)
            if msg is None:
                raise ValueError(f"os-ken cannot read message type {kind}: {data.hex()}")
        if kind == of.OFPT_ECHO_REQUEST:
            self.send(of.OFPT_ECHO_REPLY, xid, data[8:])
        elif kind == of.OFPT_FEATURES_REQUEST:
            self.send(of.OFPT_FEATURES_REPLY, xid, struct.pack("!QIBB2xII", 0xA0 + self.number, 0, 254, 0, 0, 0))
        elif kind == of.OFPT_MULTIPART_REQUEST:
            self.multipart(struct.unpack_from("!H", data, 8)[0], xid)
        elif kind == of.OFPT_BARRIER_REQUEST:
            self.send(of.OFPT_BARRIER_REPLY, xid)
        elif kind == of.OFPT_FLOW_MOD:
            self.flow_mod(msg)
        elif kind == of.OFPT_PACKET_OUT:
            self.packet_out(data)

    def readable(self):
        data = self.sock.recv(65536)
        if not data:
            return False
        self.rest += data
        while len(self.rest) >= 8:
            length = HEADER.unpack_from(self.rest)[2]
            if len(self.rest) < length:
                break
            self.message(self.rest[:length])
            self.rest = self.rest[length:]
        return True


def main():
    count, address = int(sys.argv[1]), ("127.0.0.1", int(sys.argv[2]))
    line = []
    for i in range(count):
        line.append(Switch(line, i + 1, address))
    while True:
        ready, _, _ = select.select([s.sock for s in line] + [sys.stdin], [], [], 1)
        for switch in line:
            if switch.sock in ready and not switch.readable():
                return
            if not ready:
                switch.arp()
        if sys.stdin in ready:
            if not sys.stdin.readline():
                return
            print(json.dumps([{"flow_mods": s.flow_mods, "entries": len(s.entries)} for s in line]), flush=True)


main()
